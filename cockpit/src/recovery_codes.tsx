// Recovery codes, shown once: to copy, to save, to print.

import { useState } from "preact/hooks";

import { Alert, Button, Modal } from "./pieces";

export function RecoveryCodes({ codes, onClose }: { codes: string[]; onClose: () => void }) {
    const [told, setTold] = useState<string | null>(null);
    const [isKept, setKept] = useState(codes.length === 0);
    const text = `${codes.join("\n")}\n`;
    const copy = () =>
        void copied(text).then((is_copied) => setTold(is_copied ? "Copied." : "The browser did not copy them: select them."));
    const save = () => {
        const address = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
        const link = document.createElement("a");
        link.href = address;
        link.download = "recovery-codes.txt";
        link.click();
        setTimeout(() => URL.revokeObjectURL(address), 1000);
        setTold("Saved to the browser's downloads. Move them to a safe place.");
    };
    return (
        <Modal
            title="Your recovery codes"
            footer={
                <Button kind="primary" onClick={onClose} disabled={!isKept}>
                    Done
                </Button>
            }
        >
            <p>Each lets you in once, if your device is not at hand. They are not shown again. Earlier ones are void.</p>
            {codes.length === 0 && <Alert severity="info" title="The policy of this machine has no recovery codes." />}
            <ol class="otp-codes" aria-label="Recovery codes">
                {codes.map((code) => (
                    <li>
                        <code>{code}</code>
                    </li>
                ))}
            </ol>
            {codes.length > 0 && (
                <>
                    <p class="otp-actions otp-not-printed">
                        <Button onClick={copy}>Copy</Button>
                        <Button onClick={save}>Download</Button>
                        <Button onClick={() => window.print()}>Print</Button>
                    </p>
                    <p role="status" class="otp-not-printed">
                        {told}
                    </p>
                    <label class="pf-v6-c-check otp-not-printed">
                        <input
                            class="pf-v6-c-check__input"
                            type="checkbox"
                            checked={isKept}
                            onChange={(event) => setKept(event.currentTarget.checked)}
                        />
                        <span class="pf-v6-c-check__label">I have them in a safe place</span>
                    </label>
                </>
            )}
        </Modal>
    );
}

/** Cockpit's page is a frame, to which a browser may refuse the clipboard; the older way needs no permission. */
async function copied(text: string): Promise<boolean> {
    try {
        await navigator.clipboard.writeText(text);
        return true;
    } catch {
        const area = document.createElement("textarea");
        area.value = text;
        (document.querySelector("dialog[open]") ?? document.body).append(area);
        area.select();
        const is_copied = document.execCommand("copy");
        area.remove();
        return is_copied;
    }
}
