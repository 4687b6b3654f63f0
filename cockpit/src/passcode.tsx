// A passcode for a user who has no device at hand: shown once.

import { useState } from "preact/hooks";

import { useGiven } from "./given";
import { Button, Choice, Field, Modal, Name, Refused, Waiting, Warnings } from "./pieces";
import type { Answer } from "./program";
import { moment } from "./words";

const VALID = { "30m": "30 minutes", "8h": "8 hours", "24h": "24 hours", "3d": "3 days", "7d": "7 days" };

export function Passcode({ user, onClose }: { user: string; onClose: () => void }) {
    const [valid, setValid] = useState("24h");
    const [service, setService] = useState("");
    const [issued, setIssued] = useState<Answer | null>(null);
    const { isRunning, why, warnings, give } = useGiven();
    const issue = () => {
        const options = ["--valid", valid, ...(service ? ["--service", service] : [])];
        give(["admin", "issue", ...options, "--", user], ([answer]) => setIssued(answer ?? null));
    };
    if (issued) {
        return (
            <Modal
                title="Passcode"
                footer={
                    <Button kind="primary" onClick={onClose}>
                        Done
                    </Button>
                }
            >
                <p>
                    It lets <Name>{user}</Name> in once, until {moment(String(issued["until"]))}. It is not shown again.
                </p>
                <p class="otp-passcode">
                    <code>{String(issued["passcode"])}</code>
                </p>
                <Warnings of={warnings} />
                <p>Hand it on by a way that is not the one of the password.</p>
            </Modal>
        );
    }
    return (
        <Modal
            title="Issue a passcode"
            onClose={isRunning ? undefined : onClose}
            onSubmit={issue}
            footer={
                <>
                    <Button kind="primary" submit disabled={isRunning}>
                        Issue
                    </Button>
                    <Button kind="link" onClick={onClose} disabled={isRunning}>
                        Cancel
                    </Button>
                </>
            }
        >
            <p>
                A passcode lets <Name>{user}</Name> log in once, without a device. An earlier one is void. Make sure who is asking for it.
            </p>
            <Choice label="Good for" value={valid} onChange={setValid} options={VALID} />
            <Field label="Service" value={service} onInput={setService} hint="A PAM service such as sshd, at which alone it is good. Empty: any." />
            {isRunning && <Waiting>Please wait</Waiting>}
            {why !== null && <Refused why={why} />}
        </Modal>
    );
}
