// Runs otp-enroll. Whatever this page knows or changes goes through here, and a script can do the same.

/** Why a command was not done: otp-enroll's words, or Cockpit's. */
export class Refusal extends Error {
    constructor(
        readonly text: string,
        readonly hint: string | null = null,
        /** Cockpit's: the program did not run to its end. */
        readonly of_cockpit = false,
    ) {
        super(text);
    }
}

/** On whose behalf a command runs: that of the user who is logged in, or that of root. */
export type As = "user" | "root";

/** A line of JSON. */
export type Answer = Record<string, unknown>;

/** otp-enroll while it runs. */
export interface Running {
    /** Sends a line to it. */
    send(line: string): void;
    /** Ends it. Nothing is told of it any more. */
    stop(): void;
    /** Resolves after its last line; rejects with a {@link Refusal}. */
    readonly done: Promise<void>;
}

/** How otp-enroll answers: lines that are read to their end, or a dialog. */
export type How = "--json" | "--dialog";

/** What begins a warning on standard error. */
const WARNING = "otp-enroll: warning: ";

/**
 * Starts otp-enroll, and tells each line that it writes, except an error, which is that of `done`. `warned` gets what it says
 * beside its answer.
 */
export function start(
    how: How,
    command: string[],
    as: As,
    told: (answer: Answer) => void,
    warned: (text: string) => void,
): Running {
    let rest = "";
    let refusal: Refusal | null = null;
    let stopped = false;
    const said: string[] = [];
    const process = cockpit.spawn(["otp-enroll", how, ...command], {
        err: "out",
        ...(as === "root" ? { superuser: "require" as const } : {}),
    });
    process.stream((text) => {
        const lines = (rest + text).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) {
            if (stopped) return;
            // Standard error: a warning is for the person; an error has its line of JSON.
            if (!line.startsWith("{")) {
                if (line.startsWith(WARNING)) warned(line.slice(WARNING.length));
                else if (line.trim() !== "") said.push(line);
                continue;
            }
            const answer = parse(line);
            if (typeof answer["error"] === "string" && !("file" in answer) && !("user" in answer)) {
                refusal = new Refusal(answer["error"], hint_of_program(answer["hint"]));
            } else {
                told(answer);
            }
        }
    });
    // Not `process.then`: Cockpit takes what is thrown in there for a fault of the page.
    const done = new Promise<void>((resolve, reject) => {
        process.then(
            () => (refusal ? reject(refusal) : resolve()),
            (error: cockpit.ProcessError) => reject(refusal ?? new Refusal(explained(error, said), hint_of(error), error.problem !== null)),
        );
    });
    done.catch(() => {}); // a command that was stopped has nobody who waits for it
    return {
        send: (line) => void process.input(`${line}\n`, true),
        stop: () => {
            stopped = true;
            rest = "";
            process.close("cancelled");
        },
        done,
    };
}

function parse(line: string): Answer {
    try {
        const value: unknown = JSON.parse(line);
        if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Answer;
    } catch {
        // Told below.
    }
    return { error: "otp-enroll wrote a line that is not JSON", hint: "look whether this page and otp-enroll have the same version" };
}

/** What to do next, unless that is for people at a terminal. */
function hint_of_program(value: unknown): string | null {
    return typeof value === "string" && value !== "see: otp-enroll --help" ? value : null;
}

function explained(error: cockpit.ProcessError, said: string[]): string {
    switch (error.problem) {
        case "not-found":
            return "otp-enroll is not installed on this machine";
        case "access-denied":
            return "Administrative access is needed for this";
        case "disconnected":
        case "terminated":
            return "The connection to the machine was lost";
        default:
            return said.join(" ") || error.message.trim() || "otp-enroll has failed, and said nothing";
    }
}

function hint_of(error: cockpit.ProcessError): string | null {
    switch (error.problem) {
        case "not-found":
            return "Install the package libpam-otp.";
        case "access-denied":
            return "Turn it on at the top of Cockpit's window.";
        case "disconnected":
        case "terminated":
            return "Log in again. A device that is not listed then is not set up.";
        default:
            return null;
    }
}
