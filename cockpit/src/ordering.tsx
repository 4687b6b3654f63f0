// An order about users: what it means, the question, and how far it is.

import { useEffect, useRef, useState } from "preact/hooks";

import type { Order } from "./orders";
import { Alert, Button, Field, Modal, Name, Refused } from "./pieces";
import { type Running, start } from "./program";
import { number } from "./words";

/** So many names are told; of the others, how many there are. */
const TOLD = 10;

/** So many users are named to one command: a command line has a longest length. */
const AT_A_TIME = 1000;

export function Ordering({ order, users, onClose }: { order: Order; users: string[]; onClose: () => void }) {
    const [until, setUntil] = useState("");
    const [done, setDone] = useState<number | null>(null);
    const [changed, setChanged] = useState(0);
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
        const names = users.slice();
        let [count, changes] = [0, 0];
        setDone(0);
        try {
            for (let at = 0; at < names.length && !left.current; at += AT_A_TIME) {
                const options = [...(until ? ["--until", until] : []), ...(asks(order) ? ["--yes"] : [])];
                const command = ["admin", ...order.command.split(" "), ...options, "--", ...names.slice(at, at + AT_A_TIME)];
                running.current = start("--json", command, "root", (answer) => {
                    count += 1;
                    if (answer["changed"] === true) changes += 1;
                    setDone(count);
                    setChanged(changes);
                });
                await running.current.done;
            }
        } catch (error) {
            if (!left.current) setWhy(error);
        }
        if (!left.current) setOver(true);
    };

    const is_running = done !== null && !isOver;
    const stop = () => {
        left.current = true;
        running.current?.stop();
        onClose();
    };
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
                        <Button kind="link" onClick={is_running ? stop : onClose}>
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
            {order.until && done === null && (
                <Field label="Until" type="date" value={until} onInput={setUntil} hint="The rules decide again from that day on, in UTC. Empty: without an end." />
            )}
            {done !== null && <Progress done={done} of={users.length} />}
            {isOver && (
                <Alert severity={why === null ? "success" : "warning"} title={`${number(changed, "record was", "records were")} changed`}>
                    {why === null && changed < (done ?? 0) ? "The others were so already." : null}
                </Alert>
            )}
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
