// A command that asks: for a proof, for the code of a new device, for a PIN. What is shown once is gone when it closes.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";

import type { Device, Offer, Question } from "./answers";
import { Alert, Button, Field, Modal, Refused, Waiting } from "./pieces";
import { type Answer, type As, type Running, start } from "./program";
import { RecoveryCodes } from "./recovery_codes";

interface Asked {
    label: string;
    hint?: string;
    button: string;
    numeric?: boolean;
    hidden?: boolean;
}

const QUESTIONS: Record<Question["asks"], Asked> = {
    proof: {
        label: "Current code, or a recovery code",
        hint: "It shows that it is you, and is used up.",
        button: "Continue",
    },
    code: { label: "Code that the new device shows", button: "Confirm", numeric: true },
    "next-code": {
        label: "The code after it",
        hint: "Wait until the device shows another code.",
        button: "Confirm",
        numeric: true,
    },
    passcode: { label: "Passcode from your administrator", button: "Continue" },
    pin: { label: "PIN of four digits", button: "Confirm", numeric: true },
    seed: {
        label: "Seed of the token",
        hint: "In HEX or Base32, as its maker has written it.",
        button: "Continue",
        hidden: true,
    },
    "recovery-key": { label: "Recovery key", button: "Continue", hidden: true },
};

interface Props {
    title: string;
    command: string[];
    as: As;
    /** Devices of the user that a challenge can be asked for. */
    devices: Device[];
    /** Said before the first question. */
    children?: string;
    onClose: () => void;
}

export function Conversation({ title, command, as, devices, children, onClose }: Props) {
    const [question, setQuestion] = useState<Question | null>(null);
    const [offer, setOffer] = useState<Offer | null>(null);
    const [notes, setNotes] = useState<string[]>([]);
    const [codes, setCodes] = useState<string[] | null>(null);
    const [text, setText] = useState("");
    const [why, setWhy] = useState<unknown>(null);
    const [isDone, setDone] = useState(false);
    const running = useRef<Running | null>(null);

    const begin = useCallback(() => {
        setQuestion(null);
        setNotes([]);
        setWhy(null);
        setText("");
        const told = (answer: Answer) => {
            if ("asks" in answer) setQuestion(answer as unknown as Question);
            else if ("uri" in answer) setOffer(answer as unknown as Offer);
            else if (Array.isArray(answer["recovery_codes"])) {
                setOffer(null);
                setCodes(answer["recovery_codes"] as string[]);
            } else setNotes((notes) => [...notes, ...note(answer)].slice(-2));
        };
        const process = start("--dialog", command, as, told);
        running.current = process;
        process.done.then(
            () => {
                setOffer(null);
                setQuestion(null);
                setDone(true);
            },
            (error: unknown) => {
                setOffer(null);
                setQuestion(null);
                setWhy(error);
            },
        );
    }, []);

    useEffect(() => {
        begin();
        return () => running.current?.stop();
    }, []);

    // Without recovery codes there is nothing left to show.
    useEffect(() => {
        if (isDone && codes === null) onClose();
    }, [isDone, codes]);

    const answer = (line: string) => {
        setQuestion(null);
        setNotes([]);
        setText("");
        running.current?.send(line.replace(/[\r\n]/g, ""));
    };

    if (codes !== null) return <RecoveryCodes codes={codes} onClose={onClose} />;

    const asked = question && QUESTIONS[question.asks];
    const challenged = question?.asks === "proof" ? devices.filter(({ type }) => ["sms", "email", "ocra"].includes(type)) : [];
    return (
        <Modal
            title={title}
            onClose={onClose}
            onSubmit={() => {
                if (asked && text.trim() !== "") answer(text);
            }}
            footer={
                <>
                    {asked && (
                        <Button kind="primary" submit disabled={text.trim() === ""}>
                            {asked.button}
                        </Button>
                    )}
                    {why !== null && (
                        <Button kind="primary" onClick={begin}>
                            Try again
                        </Button>
                    )}
                    <Button kind="link" onClick={onClose}>
                        Cancel
                    </Button>
                </>
            }
        >
            {children && !offer && why === null && <p>{children}</p>}
            {offer && <Key offer={offer} />}
            {notes.map((note) => (
                <Alert severity="info" title={note} />
            ))}
            {why !== null && <Refused why={why} />}
            {asked && question && (
                <Field
                    key={question.asks}
                    label={asked.label}
                    value={text}
                    onInput={setText}
                    focused
                    code
                    numeric={asked.numeric ?? false}
                    type={asked.hidden ? "password" : "text"}
                    fault={question.refused && [question.refused, question.hint].filter(Boolean).join(". ")}
                    {...(asked.hint === undefined ? {} : { hint: asked.hint })}
                />
            )}
            {challenged.map((device) => (
                <p>
                    <Button kind="link" onClick={() => answer(device.name)}>
                        {device.type === "ocra" ? `Show a number for ${device.name}` : `Send a code to ${device.name}`}
                    </Button>
                </p>
            ))}
            {question?.asks === "pin" && (
                <p>
                    <Button kind="link" onClick={() => answer("again")}>
                        Send another PIN
                    </Button>
                </p>
            )}
            {!question && why === null && <Waiting>Please wait</Waiting>}
        </Modal>
    );
}

/** What a line says that is neither a question nor a key. */
function note(answer: Answer): string[] {
    if (typeof answer["question"] === "string") return [`Type ${answer["question"]} into your token.`];
    if (typeof answer["text"] === "string") return [answer["text"]];
    if (typeof answer["to"] === "string") {
        return [answer["sent"] === true ? `A PIN was sent to ${answer["to"]}. It is good for ten minutes.` : String(answer["why"])];
    }
    return [];
}

/** The key of a new app: as a picture, to type, and as an address. */
function Key({ offer }: { offer: Offer }) {
    const [isTyped, setTyped] = useState(false);
    return (
        <div class="otp-key">
            <p>Scan the picture with an authenticator app, then type the code that the app shows.</p>
            <img class="otp-qr" alt="QR code with the key" src={`data:image/svg+xml;base64,${btoa(offer.qr)}`} />
            {isTyped ? (
                <dl class="otp-typed">
                    <dt>Key, to type into the app</dt>
                    <dd>
                        <code>{offer.secret.replace(/(.{4})(?=.)/g, "$1 ")}</code>
                    </dd>
                    <dt>The same in HEX</dt>
                    <dd>
                        <code>{offer.hex}</code>
                    </dd>
                </dl>
            ) : (
                <p>
                    <Button kind="link" onClick={() => setTyped(true)}>
                        I cannot scan it: show the key
                    </Button>
                </p>
            )}
        </div>
    );
}
