// Refused logins and changes, with their reasons.

import type { Refused as Line } from "./answers";
import { useAsked } from "./asked";
import { Alert, Button, Name, Refused, Table, Waiting, Warnings } from "./pieces";
import { moment, number, reason } from "./words";

interface From {
    refusals_from: string | null;
    since: string;
    more: boolean;
}

/** Those of all users within a day. */
export function RefusalsOfADay() {
    const { answers, running, why, again, warnings } = useAsked<From | Line>(["admin", "refusals", "--since", "24h"], "root");
    const from = answers?.find((answer): answer is From => "refusals_from" in answer);
    const lines = (answers ?? []).filter((answer): answer is Line => "why" in answer);
    return (
        <>
            <p class="otp-actions">
                <Button onClick={again} disabled={running !== null}>
                    Read again
                </Button>
            </p>
            <Warnings of={warnings} />
            {why !== null && <Refused why={why} />}
            {running !== null && <Waiting>Reading the log</Waiting>}
            {from && (
                <>
                    <p role="status">
                        {from.more ? "The newest " : ""}
                        {number(lines.length, "refusal", "refusals")} since {moment(from.since)}
                    </p>
                    <Refusals refusals={lines} from={from.refusals_from} />
                </>
            )}
        </>
    );
}

/** So many are shown: whoever wants more asks the program. */
const SHOWN = 500;

export function Refusals({ refusals, from }: { refusals: Line[]; from: string | null }) {
    if (from === null) return <p>Not known: there is no journal, and no /var/log/auth.log.</p>;
    const user = refusals.some((line) => line.user !== undefined)
        ? [{ title: "User", cell: (line: Line) => <Name>{line.user ?? ""}</Name> }]
        : [];
    return (
        <>
            {from !== "journal" && from !== "fleet" && (
                <Alert severity="info" title={`From ${from}, to which any local user can write`} />
            )}
            {refusals.length === 0 ? (
                <p>None.</p>
            ) : (
                <Table
                    label="Refusals"
                    rows={refusals.slice(0, SHOWN)}
                    id={(line) => `${line.time} ${line.user ?? ""} ${line.why} ${line.service ?? ""} ${refusals.indexOf(line)}`}
                    columns={[
                        { title: "Time", cell: (line) => moment(line.time) },
                        ...user,
                        {
                            title: "Reason",
                            cell: (line) =>
                                `${reason(line.why)}${line.error === null ? "" : ` ${line.error}`}${line.enforced ? "" : " (not enforced)"}`,
                        },
                        { title: "Wrong in a row", cell: (line) => (line.failures === null ? "" : String(line.failures)) },
                        {
                            title: "Service, or change",
                            cell: (line) => `${line.service ?? line.change ?? ""}${line.host === undefined ? "" : ` on ${line.host}`}`,
                        },
                        { title: "From", cell: (line) => line.rhost ?? "" },
                    ]}
                />
            )}
            {refusals.length > SHOWN && (
                <p>
                    {SHOWN} of them are shown; all: <code>otp-enroll admin refusals</code>
                </p>
            )}
        </>
    );
}
