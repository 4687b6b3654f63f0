// A command of root's that is given once: it is not given again while it runs.

import { useState } from "preact/hooks";

import { type Answer, start } from "./program";

export interface Given {
    isRunning: boolean;
    why: unknown;
    warnings: string[];
    /** Gives it; `done` gets its lines, unless it has failed. */
    give: (command: string[], done: (answers: Answer[]) => void) => void;
}

export function useGiven(): Given {
    const [isRunning, setRunning] = useState(false);
    const [why, setWhy] = useState<unknown>(null);
    const [warnings, setWarnings] = useState<string[]>([]);
    const give: Given["give"] = (command, done) => {
        if (isRunning) return;
        setRunning(true);
        setWhy(null);
        const answers: Answer[] = [];
        const warned: string[] = [];
        start("--json", command, "root", (answer) => answers.push(answer), (text) => warned.push(text))
            .done.then(() => done(answers), setWhy)
            .finally(() => {
                setWarnings(warned);
                setRunning(false);
            });
    };
    return { isRunning, why, warnings, give };
}
