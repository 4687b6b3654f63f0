// A command that asks: for a proof, for the code of a new device, for a PIN. What is shown once is gone when it closes.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";

import type { Device, Offer, Question } from "./answers";
import { copied } from "./copied";
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
    code: { label: "Code that the device shows", button: "Confirm", numeric: true },
    "next-code": {
        label: "The code after it",
        hint: "Wait until the device shows another code.",
        button: "Confirm",
        numeric: true,
    },
    passcode: { label: "Passcode from your administrator", hint: "It is used up.", button: "Continue" },
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
    user: string;
    /** Devices of the user that a challenge can be asked for. */
    devices: Device[];
    /** Said before the first question. */
    children?: string;
    /** Said after it was done, where nothing on the page shows it. */
    told?: string | undefined;
    /** The user has recovery codes already. */
    has_codes: boolean;
    /** Back to the form that it came from. */
    onBack?: (() => void) | undefined;
    onClose: () => void;
}

export function Conversation({ title, command, as, user, devices, children, told, has_codes, onBack, onClose }: Props) {
    const [question, setQuestion] = useState<Question | null>(null);
    const [offer, setOffer] = useState<Offer | null>(null);
    const [notes, setNotes] = useState<string[]>([]);
    const [codes, setCodes] = useState<string[] | null>(null);
    const [text, setText] = useState("");
    const [why, setWhy] = useState<unknown>(null);
    const [isDone, setDone] = useState(false);
    const [isLeaving, setLeaving] = useState(false);
    const [hasProved, setProved] = useState(false);
    const [hasAnswered, setAnswered] = useState(false);
    const running = useRef<Running | null>(null);

    const begin = useCallback(() => {
        setQuestion(null);
        setAnswered(false);
        setNotes([]);
        setWhy(null);
        setText("");
        const noted = (...more: string[]) => setNotes((notes) => [...notes, ...more].slice(-2));
        const told = (answer: Answer) => {
            if ("asks" in answer) setQuestion(answer as unknown as Question);
            else if ("uri" in answer) setOffer(answer as unknown as Offer);
            else if (Array.isArray(answer["recovery_codes"])) {
                setOffer(null);
                setCodes(answer["recovery_codes"] as string[]);
            } else noted(...note(answer));
        };
        const process = start("--dialog", command, as, told, noted);
        running.current = process;
        process.done
            .finally(() => {
                setOffer(null);
                setQuestion(null);
            })
            .then(() => setDone(true), setWhy);
    }, []);

    useEffect(() => {
        begin();
        return () => running.current?.stop();
    }, []);

    // Without recovery codes, and a word about it, there is nothing left to show.
    useEffect(() => {
        if (isDone && codes === null && told === undefined) onClose();
    }, [isDone, codes]);

    const answer = (line: string) => {
        if (question?.asks === "proof" || question?.asks === "passcode") setProved(true);
        setQuestion(null);
        setAnswered(true);
        setNotes([]);
        setText("");
        running.current?.send(line.replace(/[\r\n]/g, ""));
    };

    if (codes !== null) return <RecoveryCodes codes={codes} of={`${user} on ${location.hostname}`} again={has_codes} onClose={onClose} />;
    if (isDone && told !== undefined) {
        return (
            <Modal
                title={title}
                onClose={onClose}
                onSubmit={onClose}
                footer={
                    <Button kind="primary" submit focused>
                        Close
                    </Button>
                }
            >
                <Alert severity="success" title={told} />
            </Modal>
        );
    }

    // An answer is on its way: what comes of it may be shown once.
    const is_busy = hasAnswered && question === null && why === null;
    // What was typed and shown is lost then: that is asked about.
    const leave = () => (offer !== null && !isLeaving ? setLeaving(true) : onClose());

    const asked = question && QUESTIONS[question.asks];
    const challenged = question?.asks === "proof" ? devices.filter(({ type }) => ["sms", "email", "ocra"].includes(type)) : [];
    return (
        <Modal
            title={title}
            onClose={is_busy ? undefined : leave}
            onSubmit={() => {
                if (asked && text.trim() !== "") answer(text);
            }}
            footer={
                isLeaving ? (
                    <>
                        <Button key="stay" kind="primary" onClick={() => setLeaving(false)} focused>
                            Go on with it
                        </Button>
                        <Button kind="link" onClick={onClose}>
                            Leave
                        </Button>
                    </>
                ) : (
                    <>
                        {asked && (
                            <Button kind="primary" submit disabled={text.trim() === ""}>
                                {asked.button}
                            </Button>
                        )}
                        {why !== null && (
                            <Button key="again" kind="primary" onClick={onBack ?? begin} focused>
                                {onBack ? "Back" : "Try again"}
                            </Button>
                        )}
                        <Button kind="link" onClick={leave} disabled={is_busy}>
                            Cancel
                        </Button>
                    </>
                )
            }
        >
            {children && !offer && why === null && <p>{children}</p>}
            {isLeaving && (
                <Alert severity="warning" title="Nothing is set up yet">
                    If you leave, the next set-up has another key.{hasProved && " The code that you have given is used up."}
                </Alert>
            )}
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

/** The key of a new app: as a picture, and to type. */
function Key({ offer }: { offer: Offer }) {
    const [isTyped, setTyped] = useState(false);
    const [told, setTold] = useState<string | null>(null);
    return (
        <div class="otp-key">
            <p>Scan the picture with an authenticator app, then type the code that the app shows.</p>
            <img class="otp-qr" alt="QR code with the key" src={`data:image/svg+xml;base64,${btoa(offer.qr)}`} />
            {isTyped ? (
                <>
                    <p class="otp-actions">
                        <Button onClick={() => void copied(offer.secret).then((done) => setTold(done ? "Copied." : "The browser did not copy it: select it."))}>
                            Copy the key
                        </Button>
                        <span role="status">{told}</span>
                    </p>
                    <dl class="otp-typed">
                        <dt>Key, to type into the app</dt>
                        <dd>
                            <code>{offer.secret.replace(/(.{4})(?=.)/g, "$1 ")}</code>
                        </dd>
                        <dt>Account</dt>
                        <dd>
                            {offer.issuer}: {offer.user}
                        </dd>
                        <dt>The same key in HEX</dt>
                        <dd>
                            <code>{offer.hex}</code>
                        </dd>
                    </dl>
                </>
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
