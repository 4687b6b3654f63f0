// A command that reads, run again when it is asked for again.

import { useCallback, useEffect, useRef, useState } from "preact/hooks";

import { type Answer, type As, type Running, start } from "./program";

export interface Asked<T> {
    /** The lines of the last run; `null` before it has ended, and if it has failed without any. */
    answers: T[] | null;
    /** Lines so far, while it runs; `null` while it does not. */
    running: number | null;
    why: unknown;
    warnings: string[];
    again: () => void;
    stop: () => void;
}

/** The lines of a command. Those of a command that has failed after some of them are kept, too. */
export function useAsked<T>(command: string[], as: As): Asked<T> {
    const [answers, setAnswers] = useState<T[] | null>(null);
    const [running, setRunning] = useState<number | null>(null);
    const [why, setWhy] = useState<unknown>(null);
    const [warnings, setWarnings] = useState<string[]>([]);
    const process = useRef<Running | null>(null);
    const words = JSON.stringify(command);

    const stop = useCallback(() => {
        process.current?.stop();
        process.current = null;
        setRunning(null);
    }, []);

    const again = useCallback(() => {
        process.current?.stop();
        const lines: Answer[] = [];
        const warned: string[] = [];
        let shown = 0;
        const told = (answer: Answer) => {
            lines.push(answer);
            // Ten thousand lines are not ten thousand pictures.
            if (Date.now() - shown > 200) {
                shown = Date.now();
                setRunning(lines.length);
            }
        };
        const present = start("--json", JSON.parse(words) as string[], as, told, (text) => warned.push(text));
        process.current = present;
        setRunning(0);
        const ended = (error: unknown) => {
            if (process.current !== present) return;
            process.current = null;
            setWhy(error);
            setWarnings(warned);
            setAnswers(error === null || lines.length > 0 ? (lines as T[]) : null);
            setRunning(null);
        };
        present.done.then(() => ended(null), ended);
    }, [words, as]);

    useEffect(() => {
        again();
        return () => {
            process.current?.stop();
            process.current = null;
        };
    }, [again]);

    return { answers, running, why, warnings, again, stop };
}
