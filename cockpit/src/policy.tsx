// What the policy means for a login: which rule decides, and what would happen.

import { useState } from "preact/hooks";

import type { Explained } from "./answers";
import { useGiven } from "./given";
import { Button, Card, Facts, Field, Name, Refused, Waiting, Warnings } from "./pieces";
import { SERVICES } from "./service";
import { decided_by, kinds, outcome } from "./words";

export function Policy() {
    const [user, setUser] = useState("");
    const [service, setService] = useState("sshd");
    const [address, setAddress] = useState("");
    const [explained, setExplained] = useState<Explained | null>(null);
    const { isRunning, why, warnings, give } = useGiven();
    const explain = (event: Event) => {
        event.preventDefault();
        setExplained(null);
        const options = [`--service=${service}`, ...(address ? [`--rhost=${address}`] : [])];
        give(["admin", "explain", ...options, "--", user], ([answer]) =>
            setExplained(answer ? (answer as unknown as Explained) : null),
        );
    };
    return (
        <>
            <form class="pf-v6-c-form otp-search" onSubmit={explain}>
                <Field label="User" value={user} onInput={setUser} required />
                <Field label="Service" value={service} onInput={setService} choices={SERVICES} required />
                <Field label="Address" value={address} onInput={setAddress} hint="Where the login comes from, such as 192.0.2.7. May be left empty." />
                <p class="otp-actions">
                    <Button kind="primary" submit disabled={user === "" || service === "" || isRunning}>
                        Explain
                    </Button>
                </p>
            </form>
            {isRunning && <Waiting>Asking the policy</Waiting>}
            <Warnings of={warnings} />
            {why !== null && <Refused why={why} />}
            {explained && (
                <Card title="At such a login">
                    <Facts
                        facts={[
                            ["User", <Name>{explained.user}</Name>],
                            ["What happens", `${outcome(explained.outcome)}${explained.enforced ? "" : " Nothing is enforced yet (enforce = false)."}`],
                            ["Decided by", decided_by(explained)],
                            ["Second factor", explained.second_factor],
                            ["Accepted devices", kinds(explained.accepted_kinds)],
                            ["Has a device", explained.has_device ? "yes" : "no"],
                            [
                                `Asks for codes`,
                                explained.has_line
                                    ? `${explained.service} has a line of pam_otp.so`
                                    : `${explained.service} has no line of pam_otp.so: this is what would happen with one`,
                            ],
                        ]}
                    />
                </Card>
            )}
        </>
    );
}
