// All users: with a device or without, found by name, chosen, ordered about.

import { useMemo, useState } from "preact/hooks";

import type { Status, Unusable, WithoutDevice } from "./answers";
import { useAsked } from "./asked";
import { Ordering } from "./ordering";
import { OF_MANY, type Order } from "./orders";
import { Alert, Button, Choice, Field, Label, Name, Refused, Table, Waiting, Warnings } from "./pieces";
import { go } from "./place";
import { Service } from "./service";
import { lock_of, moment, number, outcome, override_of } from "./words";

/** Rows of a page. */
const ROWS = 50;

interface Row {
    user: string;
    status: Status | null;
    without: WithoutDevice | null;
}

const FILTERS: Record<string, string> = {
    all: "All users",
    with: "With a device",
    without: "Without a device",
    locked: "Locked",
    override: "With an override",
    passcode: "With a passcode",
};

const IS_SHOWN: Record<string, (row: Row) => boolean> = {
    all: () => true,
    with: ({ status }) => status !== null && status.devices.length > 0,
    without: ({ status }) => status === null || status.devices.length === 0,
    locked: ({ status }) => status !== null && status.lock !== "open",
    override: ({ status }) => status !== null && status.override !== "none",
    passcode: ({ status }) => status?.passcode !== undefined && !status.passcode.used && !status.passcode.expired,
};

export function Users() {
    const [service, setService] = useState("sshd");
    const listed = useAsked<Status | Unusable>(["admin", "list"], "root");
    const without = useAsked<WithoutDevice>(["admin", "list", "--without-device", `--service=${service}`], "root");
    const [typed, setTyped] = useState("");
    const [filter, setFilter] = useState("all");
    const [page, setPage] = useState(0);
    const [chosen, setChosen] = useState<Set<string>>(new Set());
    const [order, setOrder] = useState<Order | null>(null);

    const rows = useMemo(() => joined(listed.answers ?? [], without.answers ?? []), [listed.answers, without.answers]);
    const unusable = (listed.answers ?? []).filter((answer): answer is Unusable => "file" in answer);
    const found = useMemo(() => {
        const wanted = typed.trim().toLowerCase();
        const is_shown = IS_SHOWN[filter] ?? (() => true);
        return rows.filter((row) => is_shown(row) && row.user.toLowerCase().includes(wanted));
    }, [rows, typed, filter]);

    const pages = Math.max(1, Math.ceil(found.length / ROWS));
    const here = Math.min(page, pages - 1);
    const is_running = listed.running !== null || without.running !== null;
    const again = () => {
        listed.again();
        without.again();
    };
    const toggle = (user: string) => {
        const next = new Set(chosen);
        if (!next.delete(user)) next.add(user);
        setChosen(next);
    };
    const is_all = found.length > 0 && found.every(({ user }) => chosen.has(user));

    return (
        <>
            <Warnings of={[...listed.warnings, ...without.warnings]} />
            {listed.why !== null && <Refused why={listed.why} />}
            {without.why !== null && <Refused why={without.why} />}
            {unusable.map(({ file, error, hint }) => (
                <Alert severity="danger" title={`The record ${file} cannot be used: ${error}`}>
                    {hint}{" "}
                    <Button kind="link" onClick={() => go("users", file)}>
                        Open
                    </Button>
                </Alert>
            ))}
            <search class="pf-v6-c-form otp-search">
                <Field
                    label="Name"
                    type="search"
                    value={typed}
                    onInput={(text) => {
                        setTyped(text);
                        setPage(0);
                    }}
                />
                <Choice
                    label="Show"
                    value={filter}
                    onChange={(word) => {
                        setFilter(word);
                        setPage(0);
                    }}
                    options={FILTERS}
                />
                <Service value={service} onChosen={setService} />
            </search>
            <p class="otp-actions">
                <Button
                    onClick={() => {
                    const next = new Set(chosen);
                    for (const { user } of found) is_all ? next.delete(user) : next.add(user);
                    setChosen(next);
                }}
                    disabled={found.length === 0}
                >
                    {is_all ? "Choose none" : `Choose all ${found.length.toLocaleString()}`}
                </Button>
                <Button onClick={again} disabled={is_running}>
                    Read again
                </Button>
            </p>
            {chosen.size > 0 && (
                <p class="otp-actions" role="group" aria-label="What to do with the chosen users">
                    <span>{number(chosen.size, "user is", "users are")} chosen:</span>
                    {OF_MANY.map((order) => (
                        <Button kind={order.destroys ? "danger" : "secondary"} onClick={() => setOrder(order)}>
                            {order.button}
                        </Button>
                    ))}
                </p>
            )}
            {is_running ? (
                <Waiting>
                    Reading the users: {number((listed.running ?? 0) + (without.running ?? 0), "line", "lines")} so far
                </Waiting>
            ) : (
                <p role="status">
                    {found.length === rows.length
                        ? number(rows.length, "user", "users")
                        : `${found.length.toLocaleString()} of ${number(rows.length, "user", "users")}`}
                </p>
            )}
            <Table
                label="Users"
                rows={found.slice(here * ROWS, (here + 1) * ROWS)}
                id={({ user }) => user}
                chosen={{ rows: chosen, toggle }}
                columns={[
                    {
                        title: "User",
                        cell: ({ user }) => (
                            <Button kind="link" onClick={() => go("users", user)}>
                                <Name>{user}</Name>
                            </Button>
                        ),
                    },
                    { title: `Devices, and a login through ${service} without one`, cell: devices },
                    { title: "Codes left", cell: ({ status }) => (status?.enrolled ? String(status.recovery_codes_left) : "") },
                    { title: "Last accepted", cell: ({ status }) => (status?.enrolled ? moment(status.last_accepted) : "") },
                    { title: "State", cell: state },
                ]}
            />
            {pages > 1 && (
                <nav class="otp-actions" aria-label="Pages">
                    <Button onClick={() => setPage(here - 1)} disabled={here === 0}>
                        Page before
                    </Button>
                    <span>
                        Page {here + 1} of {pages}
                    </span>
                    <Button onClick={() => setPage(here + 1)} disabled={here === pages - 1}>
                        Next page
                    </Button>
                </nav>
            )}
            {order && (
                <Ordering
                    order={order}
                    users={[...chosen]}
                    without={rows.filter(({ user, status }) => chosen.has(user) && !status?.devices.length).map(({ user }) => user)}
                    onCancel={() => setOrder(null)}
                    onDone={() => {
                        setOrder(null);
                        setChosen(new Set());
                        again();
                    }}
                />
            )}
        </>
    );
}

function joined(listed: (Status | Unusable)[], without: WithoutDevice[]): Row[] {
    const rows = new Map<string, Row>();
    for (const status of listed) {
        if ("user" in status) rows.set(status.user, { user: status.user, status, without: null });
    }
    for (const answer of without) {
        const row = rows.get(answer.user);
        if (row) row.without = answer;
        else if (typeof answer.user === "string") rows.set(answer.user, { user: answer.user, status: null, without: answer });
    }
    return [...rows.values()].sort((one, other) => (one.user < other.user ? -1 : 1));
}

function devices({ status, without }: Row) {
    if (status && status.devices.length > 0) return status.devices.map(({ type }) => type.toUpperCase()).join(", ");
    return without ? `none. ${outcome(without.outcome)}${without.enforced ? "" : " (not enforced)"}` : "none";
}

function state({ status }: Row) {
    if (!status) return "";
    const lock = lock_of(status);
    return (
        <>
            {lock && <Label colour={status.lock === "open" ? "orange" : "red"}>{lock}</Label>}{" "}
            {status.override !== "none" && <Label colour="blue">{override_of(status)}</Label>}{" "}
            {status.passcode && !status.passcode.used && !status.passcode.expired && <Label colour="green">passcode</Label>}
        </>
    );
}
