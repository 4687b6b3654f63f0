// An order about users: what it means, the question, and how far it is.

import { useEffect, useRef, useState } from "preact/hooks";

import type { Order } from "./orders";
import { Alert, Button, Field, Modal, Name, Refused, Warnings } from "./pieces";
import { type Answer, Refusal, type Running, start } from "./program";
import { number } from "./words";

/** So many names are told; of the others, how many there are. */
const TOLD = 10;

/** So many users are named to one command: a command line has a longest length. */
const AT_A_TIME = 1000;

interface Props {
    order: Order;
    users: string[];
    /** Those of them who are known to have no device. */
    without: string[];
    onDone: () => void;
    onCancel: () => void;
}

export function Ordering({ order, users, without, onDone, onCancel }: Props) {
    const [until, setUntil] = useState("");
    const [done, setDone] = useState<number | null>(null);
    const [changed, setChanged] = useState(0);
    const [failures, setFailures] = useState<[string, string][]>([]);
    const [warnings, setWarnings] = useState<string[]>([]);
    const [why, setWhy] = useState<unknown>(null);
    const [isOver, setOver] = useState(false);
    const running = useRef<Running | null>(null);
    const left = useRef(false);

    useEffect(
        () => () => {
            left.current = true;
            running.current?.stop();
        },
        [],
    );

    const give = async () => {
        let [count, changes] = [0, 0];
        const failed: [string, string][] = [];
        const noted = new Set<string>();
        setDone(0);

        /** Gives the order about some users at once; if it is refused as a whole, about fewer, until it is known for whom. */
        const about = async (names: string[]): Promise<void> => {
            const options = [...(until ? ["--until", until] : []), ...(asks(order) ? ["--yes"] : [])];
            let lines = 0;
            const command = ["admin", ...order.command.split(" "), ...options, "--", ...names];
            const told = (answer: Answer) => {
                lines += 1;
                count += 1;
                if (answer["changed"] === true) changes += 1;
                if (typeof answer["error"] === "string") failed.push([String(answer["user"]), answer["error"]]);
                setDone(count);
                setChanged(changes);
            };
            running.current = start("--json", command, "root", told, (text) => noted.add(text));
            try {
                await running.current.done;
            } catch (error) {
                if (left.current) return;
                const is_about_one = error instanceof Refusal && !error.of_cockpit;
                if (lines > 0 || !is_about_one) {
                    if (failed.length === 0) throw error;
                } else if (names.length > 1) {
                    const half = Math.ceil(names.length / 2);
                    await about(names.slice(0, half));
                    if (!left.current) await about(names.slice(half));
                } else {
                    count += 1;
                    setDone(count);
                    failed.push([names[0] ?? "", error.text]);
                }
            }
        };

        try {
            for (let at = 0; at < users.length && !left.current; at += AT_A_TIME) await about(users.slice(at, at + AT_A_TIME));
        } catch (error) {
            setWhy(error);
        }
        setFailures(failed);
        setWarnings([...noted]);
        setOver(true);
    };

    const is_running = done !== null && !isOver;
    const stop = () => {
        left.current = true;
        running.current?.stop();
        setOver(true);
    };
    const onClose = done === null ? onCancel : onDone;
    const told = users.slice(0, TOLD);
    return (
        <Modal
            title={order.title}
            onClose={is_running ? undefined : onClose}
            onSubmit={() => {
                if (done === null) void give();
            }}
            footer={
                isOver ? (
                    <Button kind="primary" onClick={onClose}>
                        Close
                    </Button>
                ) : (
                    <>
                        <Button kind={order.destroys ? "danger" : "primary"} submit disabled={is_running}>
                            {order.button}
                        </Button>
                        <Button kind="link" onClick={is_running ? stop : onClose} focused={order.destroys ?? false}>
                            {is_running ? "Stop" : "Cancel"}
                        </Button>
                    </>
                )
            }
        >
            <p>{order.meaning}</p>
            <p>
                {number(users.length, "user", "users")}:{" "}
                {told.map((user, at) => (
                    <>
                        {at > 0 && ", "}
                        <Name>{user}</Name>
                    </>
                ))}
                {users.length > TOLD && ` and ${users.length - TOLD} more`}
            </p>
            {order.needs_device && without.length > 0 && done === null && (
                <Alert severity="warning" title={`${number(without.length, "of them has", "of them have")} no device${without.includes("root") ? ", root among them" : ""}`}>
                    {order.needs_device}{" "}
                    {without.slice(0, TOLD).map((user, at) => (
                        <>
                            {at > 0 && ", "}
                            <Name>{user}</Name>
                        </>
                    ))}
                    {without.length > TOLD && ` and ${without.length - TOLD} more`}
                </Alert>
            )}
            {order.until && done === null && (
                <Field label="Until" type="date" value={until} onInput={setUntil} min={tomorrow()} hint="The rules decide again from that day on, in UTC. Empty: without an end." />
            )}
            {done !== null && <Progress done={done} of={users.length} />}
            {isOver && (
                <Alert
                    severity={why === null && failures.length === 0 && !left.current ? "success" : "warning"}
                    title={`${number(changed, "record was", "records were")} changed`}
                >
                    {left.current || why !== null
                        ? `It ended after ${(done ?? 0).toLocaleString()} of ${number(users.length, "user", "users")}. To go on, give the order again: what is done stays.`
                        : changed + failures.length < users.length
                          ? "The others were so already."
                          : null}
                </Alert>
            )}
            {failures.slice(0, TOLD).map(([user, error]) => (
                <Alert severity="danger" title={error}>
                    <Name>{user}</Name>
                </Alert>
            ))}
            {failures.length > TOLD && <p>and {failures.length - TOLD} more</p>}
            <Warnings of={warnings} />
            {why !== null && <Refused why={why} />}
        </Modal>
    );
}

function asks({ command }: Order): boolean {
    return !["unlock", "forget-addresses", "revoke"].includes(command);
}

function Progress({ done, of }: { done: number; of: number }) {
    const per_cent = of === 0 ? 100 : Math.floor((100 * done) / of);
    return (
        <div class="pf-v6-c-progress">
            <div class="pf-v6-c-progress__description" id="otp-progress">
                {done.toLocaleString()} of {of.toLocaleString()}
            </div>
            <progress class="otp-progress" max={of} value={done} aria-labelledby="otp-progress">
                {per_cent} %
            </progress>
        </div>
    );
}

/** The first day on which the rules can decide again, in UTC. */
function tomorrow(): string {
    return new Date(Date.now() + 86_400_000).toISOString().slice(0, 10);
}
