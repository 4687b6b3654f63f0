// What doctor finds, and how to fix it.

import type { Finding } from "./answers";
import { useAsked } from "./asked";
import { Alert, Button, Refused, Waiting, Warnings } from "./pieces";
import { number } from "./words";

interface Examined {
    services: string[];
    findings: Finding[];
}

const SEVERITIES = { fault: "danger", warning: "warning", note: "info" } as const;

const WORDS = { fault: "Fault", warning: "Warning", note: "Note" };

export function Doctor() {
    const { answers, running, why, again, stop, warnings } = useAsked<Examined>(["admin", "doctor"], "root");
    const examined = answers?.find((answer) => Array.isArray(answer.findings));
    // Its exit code says that there are faults, which are shown.
    const told = why !== null && !examined;
    const count = (severity: Finding["severity"]) => (examined?.findings ?? []).filter((finding) => finding.severity === severity).length;
    return (
        <>
            <p>Doctor reads PAM files, sshd's configuration and ours, and reports which logins they would lock out, or let in by mistake.</p>
            <p class="otp-actions">
                {running === null ? <Button onClick={again}>Examine again</Button> : <Button onClick={stop}>Stop</Button>}
            </p>
            {running !== null && <Waiting>Examining this machine. With many users this takes a while.</Waiting>}
            <Warnings of={warnings} />
            {told && <Refused why={why} />}
            {examined && (
                <>
                    <p role="status">
                        {examined.services.length === 0
                            ? "No service asks for codes. "
                            : `Services that ask for codes: ${examined.services.join(", ")}. `}
                        {examined.findings.length === 0
                            ? "No fault was found."
                            : `${number(count("fault"), "fault", "faults")}, ${number(count("warning"), "warning", "warnings")}, ${number(count("note"), "note", "notes")}.`}
                    </p>
                    <ul class="otp-findings">
                        {examined.findings.map(({ severity, subjects, what, fix }) => (
                            <li>
                                <Alert severity={SEVERITIES[severity]} word={WORDS[severity]} title={`${subjects.join(", ")}: ${what}`}>
                                    {fix}
                                </Alert>
                            </li>
                        ))}
                    </ul>
                </>
            )}
        </>
    );
}
