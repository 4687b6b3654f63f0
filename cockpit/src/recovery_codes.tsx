// Recovery codes, shown once: to copy, to save, to print.

import { useState } from "preact/hooks";

import { copied } from "./copied";
import { Alert, Button, Modal, Name } from "./pieces";

interface Props {
    codes: string[];
    /** Whose they are, and on which host: for paper and file. */
    of: string;
    /** There were others before. */
    again: boolean;
    onClose: () => void;
}

export function RecoveryCodes({ codes, of, again, onClose }: Props) {
    const [told, setTold] = useState<string | null>(null);
    const [isKept, setKept] = useState(codes.length === 0);
    const text = `Recovery codes of ${of}\n${codes.join("\n")}\n`;
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
            <p>
                Codes of <Name>{of}</Name>. Each lets you in once, if your device is not at hand. They are not shown again.
                {again && " Earlier ones are void."}
            </p>
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
                        <Button onClick={() => { window.print(); setTold("Sent to the printer, if you confirmed it."); }}>Print</Button>
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
