// What a rollout has found: logins that would have been refused, and users without a device.

import { useState } from "preact/hooks";

import type { WithoutDevice } from "./answers";
import { useAsked } from "./asked";
import { Button, Card, Name, Refused, Table, Waiting, Warnings } from "./pieces";
import { Service } from "./service";
import { moment, number, outcome, reason } from "./words";

interface Would {
    user: string;
    at: string;
    why: string;
}

/** So many rows are shown of each table. */
const SHOWN = 500;

export function Rollout() {
    const [service, setService] = useState("sshd");
    const { answers, running, why, again, stop, warnings } = useAsked<Would | WithoutDevice>(["admin", "report", `--service=${service}`], "root");
    const would = (answers ?? []).filter((answer): answer is Would => "at" in answer);
    const without = (answers ?? []).filter((answer): answer is WithoutDevice => "outcome" in answer);
    return (
        <>
            <p>
                With <code>enforce = false</code> in the configuration everything runs and is logged, and nobody is refused.
            </p>
            <div class="pf-v6-c-form otp-search">
                <Service value={service} onChosen={setService} />
            </div>
            <p class="otp-actions">
                {running === null ? <Button onClick={again}>Read again</Button> : <Button onClick={stop}>Stop</Button>}
            </p>
            <Warnings of={warnings} />
            {why !== null && <Refused why={why} />}
            {running !== null && <Waiting>Reading the records: {number(running, "line", "lines")} so far</Waiting>}
            {answers && (
                <>
                    <Card title="Logins that would have been refused">
                        <p role="status">{number(would.length, "user", "users")}, the last login of each. Users without a device leave no such note: they are below.</p>
                        {would.length > 0 && (
                            <Table
                                label="Logins that would have been refused"
                                rows={would.slice(0, SHOWN)}
                                id={({ user }) => user}
                                columns={[
                                    { title: "User", cell: ({ user }) => <Name>{user}</Name> },
                                    { title: "Time", cell: ({ at }) => moment(at) },
                                    { title: "Reason", cell: ({ why }) => reason(why) },
                                ]}
                            />
                        )}
                        {would.length > SHOWN && <p>{SHOWN} of them are shown.</p>}
                    </Card>
                    <Card title="Users without a device">
                        <p role="status">{number(without.length, "user", "users")}, and what a login through {service} would be</p>
                        {without.length > 0 && (
                            <Table
                                label="Users without a device"
                                rows={without.slice(0, SHOWN)}
                                id={({ user }) => user}
                                columns={[
                                    { title: "User", cell: ({ user }) => <Name>{user}</Name> },
                                    {
                                        title: "At a login",
                                        cell: (row) => `${outcome(row.outcome)}${row.enforced ? "" : " (not enforced)"}`,
                                    },
                                ]}
                            />
                        )}
                        {without.length > SHOWN && <p>{SHOWN} of them are shown.</p>}
                    </Card>
                </>
            )}
        </>
    );
}
