// The second factor of the user who is logged in.

import { useEffect, useState } from "preact/hooks";

import type { Device, Status } from "./answers";
import { useAsked } from "./asked";
import { Conversation } from "./conversation";
import { Alert, Button, Card, Choice, Facts, Field, Label, Modal, Name, Refused, Table, Waiting, Warnings } from "./pieces";
import { kind, lock_of, moment, number, override_of } from "./words";

/** What is under way: a command that asks, or a form whose answers become one. */
type Under =
    | { is: "command"; title: string; command: string[]; text?: string; told?: string; from?: Under }
    | { is: "add" }
    | { is: "rename"; device: Device }
    | null;

/** Root is asked about by name. */
export function Mine({ user }: { user: cockpit.User }) {
    const about = user.id === 0 ? ["--user", user.name] : [];
    const { answers, running, why, again, warnings } = useAsked<Status>(["status", ...about], "user");
    const [under, setUnder] = useState<Under>(null);
    const [wanted, setWanted] = useState<Wanted>(NOTHING);
    const status = answers?.[0];

    // Another window, or a login, may have changed it meanwhile.
    useEffect(() => {
        const returned = () => {
            if (!document.hidden && under === null) again();
        };
        document.addEventListener("visibilitychange", returned);
        return () => document.removeEventListener("visibilitychange", returned);
    }, [under, again]);

    const close = () => {
        setUnder(null);
        again();
    };
    const ask: Ask = (title, command, more = {}) =>
        setUnder({ is: "command", title, command: [...command.slice(0, 1), ...about, ...command.slice(1)], ...more });

    const begin_add = () => {
        setWanted(NOTHING);
        setUnder({ is: "add" });
    };

    if (!status) return why === null ? <Waiting>Reading your second factor</Waiting> : <Refused why={why} />;
    return (
        <>
            <Warnings of={warnings} />
            {why !== null && <Refused why={why} />}
            {status.lock !== "open" && (
                <Alert severity="warning" title={status.lock === "until-unlocked" ? "Locked until an administrator unlocks" : `Locked until ${moment(status.lock)}`}>
                    There were too many wrong codes. A recovery code still lets you in.
                </Alert>
            )}
            {status.enrolled && status.recovery_codes_left <= 2 && (
                <Alert severity="warning" title={`You have ${number(status.recovery_codes_left, "recovery code", "recovery codes")} left`}>
                    Make new ones, for the day when your device is not at hand.
                </Alert>
            )}
            {status.enrolled ? (
                <Devices status={status} ask={ask} add={begin_add} set={setUnder} />
            ) : (
                <section class="pf-v6-c-empty-state">
                    <div class="pf-v6-c-empty-state__content">
                        <h2 class="pf-v6-c-empty-state__title-text">You have no second factor</h2>
                        <div class="pf-v6-c-empty-state__body">
                            With one, a login asks for a code of a device of yours, beside the password.
                        </div>
                        <div class="pf-v6-c-empty-state__footer otp-actions">
                            <Button kind="primary" onClick={() => setUnder({ is: "command", title: "Set up an authenticator app", command: about })}>
                                Set up an app
                            </Button>
                            <Button onClick={() => begin_add()}>Another kind of device</Button>
                        </div>
                    </div>
                </section>
            )}
            <p class="otp-quiet" role="status">
                {running === null ? "" : "Reading again …"}
            </p>
            {under?.is === "command" && (
                <Conversation
                    title={under.title}
                    command={under.command}
                    as="user"
                    user={user.name}
                    devices={status.devices}
                    told={under.told}
                    has_codes={status.enrolled}
                    onBack={under.from ? () => setUnder(under.from ?? null) : undefined}
                    onClose={close}
                >
                    {under.text ?? ""}
                </Conversation>
            )}
            {under?.is === "add" && (
                <Add
                    wanted={wanted}
                    setWanted={setWanted}
                    onClose={() => setUnder(null)}
                    onChosen={(command) => ask("Add a device", ["add", ...command], { from: under })}
                />
            )}
            {under?.is === "rename" && (
                <Rename
                    device={under.device}
                    onClose={() => setUnder(null)}
                    onChosen={(name) =>
                        ask(`Rename ${under.device.name} to ${name}`, ["rename", "--", String(under.device.id), name], { from: under })
                    }
                />
            )}
        </>
    );
}

/** Starts a command. `text` is said before it, `told` after it. */
type Ask = (title: string, command: string[], more?: { text?: string; told?: string; from?: Under }) => void;

interface DevicesProps {
    status: Status;
    ask: Ask;
    add: () => void;
    set: (under: Under) => void;
}

function Devices({ status, ask, add, set }: DevicesProps) {
    const actions = (device: Device) => (
        <span class="otp-actions">
            <Button kind="link" about={device.name} onClick={() => set({ is: "rename", device })}>
                Rename
            </Button>
            {!device.default && (
                <Button
                    kind="link"
                    about={device.name}
                    onClick={() => ask(`Make ${device.name} the default`, ["default", String(device.id)], {
                            text: "The default says how many digits a code has where password and code are typed as one, and where codes are sent.",
                        })}
                >
                    Make default
                </Button>
            )}
            {(device.type === "hotp" || device.drift !== null) && (
                <Button
                    kind="link"
                    about={device.name}
                    onClick={() => ask(`Resynchronize ${device.name}`, ["resync", String(device.id)], {
                            text: "Type two codes of the token, one directly after the other.",
                            told: `${device.name} works again. Both codes are used up`,
                        })}
                >
                    Resynchronize
                </Button>
            )}
            {status.devices.length > 1 && (
                <Button
                    kind="link"
                    about={device.name}
                    onClick={() =>
                        ask(`Remove ${device.name}`, ["remove", "--yes", String(device.id)], { text: "Its codes are refused from then on." })
                    }
                >
                    Remove
                </Button>
            )}
        </span>
    );
    return (
        <>
            <Card title="Devices" actions={<Button onClick={add}>Add a device</Button>}>
                <Table
                    label="Devices"
                    rows={status.devices}
                    id={(device) => String(device.id)}
                    columns={[
                        {
                            title: "Name",
                            cell: (device) => (
                                <>
                                    <Name>{device.name}</Name> {device.default && <Label colour="blue">default</Label>}{" "}
                                    {!device.confirmed && <Label colour="orange">not confirmed</Label>}{" "}
                                    {device.awaits_resync && <Label colour="orange">resynchronize it</Label>}
                                </>
                            ),
                        },
                        { title: "Kind", cell: kind },
                        { title: "Last used", cell: (device) => moment(device.last_used) },
                        { title: "Actions", cell: actions },
                    ]}
                />
            </Card>
            <Card title="Recovery codes" actions={<Button onClick={() => ask("New recovery codes", ["recovery"], { text: "The ones that you have stop working." })}>New codes</Button>}>
                <p>{number(status.recovery_codes_left, "code is", "codes are")} left. Each lets you in once, if your device is not at hand.</p>
            </Card>
            <Card title="Second factor">
                <Facts
                    facts={[
                        ["Last accepted", moment(status.last_accepted)],
                        ["Wrong codes", lock_of(status) ?? "none"],
                        ["Override", override_of(status)],
                    ]}
                />
                <p class="otp-actions">
                    <Button onClick={() => ask("Try a code", ["test"], {
                                text: "The code is checked as at a login, and used up.",
                                told: "That code is correct. It is used up now",
                            })}>Try a code</Button>
                    <Button
                        onClick={() =>
                            ask("Replace all devices by a new app", ["reset"], {
                                text: `For a telephone that is lost: a recovery code is good as proof. ${number(status.devices.length, "device", "devices")} and the recovery codes that you have work until the new app is confirmed, and not after it.`,
                            })
                        }
                    >
                        Replace all devices
                    </Button>
                    <Button
                        kind="danger"
                        onClick={() =>
                            ask("Remove the second factor", ["disable", "--yes"], { text: "You cannot log in then where a second factor is required." })
                        }
                    >
                        Remove the second factor
                    </Button>
                </p>
            </Card>
        </>
    );
}

const KINDS = {
    app: "Authenticator app",
    token: "Hardware token",
    sms: "Telephone number, for text messages",
    email: "E-mail address",
};

const TOKENS = { totp: "The time (TOTP)", hotp: "Presses of its button (HOTP)" };
const HASHES = { SHA1: "SHA1", SHA256: "SHA256", SHA512: "SHA512" };
const DIGITS = { "6": "6", "7": "7", "8": "8" };

/** What a person wants to add; kept while the command runs, so that one word can be changed. */
const NOTHING = { chosen: "app", name: "", to: "", type: "totp", algorithm: "SHA1", digits: "6", period: "30", serial: "" };

type Wanted = typeof NOTHING;

interface AddProps {
    wanted: Wanted;
    setWanted: (wanted: Wanted) => void;
    onClose: () => void;
    onChosen: (command: string[]) => void;
}

function Add({ wanted, setWanted, onClose, onChosen }: AddProps) {
    const { chosen, name, to, type, algorithm, digits, period, serial } = wanted;
    const set = (key: keyof Wanted) => (value: string) => setWanted({ ...wanted, [key]: value });
    const command = () => {
        const options: Record<string, string[]> = {
            app: [],
            token: [
                "--token",
                `--type=${type}`,
                `--algorithm=${algorithm}`,
                `--digits=${digits}`,
                ...(type === "totp" ? [`--period=${period}`] : []),
                ...(serial ? [`--serial=${serial}`] : []),
            ],
            sms: [`--sms=${to}`],
            email: [`--email=${to}`],
        };
        return [...(options[chosen] ?? []), ...(name ? ["--", name] : [])];
    };
    const is_sent = chosen === "sms" || chosen === "email";
    return (
        <Modal
            title="Add a device"
            onClose={onClose}
            onSubmit={() => onChosen(command())}
            footer={
                <>
                    <Button kind="primary" submit disabled={is_sent && to.trim() === ""}>
                        Continue
                    </Button>
                    <Button kind="link" onClick={onClose}>
                        Cancel
                    </Button>
                </>
            }
        >
            <Choice label="Kind" value={chosen} onChange={set("chosen")} options={KINDS} />
            <Field label="Name" value={name} onInput={set("name")} hint="May be left empty." />
            {chosen === "sms" && (
                <Field label="Number" value={to} onInput={set("to")} hint="With its country code, such as +61412345678." />
            )}
            {chosen === "email" && <Field label="Address" value={to} onInput={set("to")} />}
            {chosen === "token" && (
                <>
                    <Choice label="It counts" value={type} onChange={set("type")} options={TOKENS} />
                    <Choice label="Hash" value={algorithm} onChange={set("algorithm")} options={HASHES} />
                    <Choice label="Digits of a code" value={digits} onChange={set("digits")} options={DIGITS} />
                    {type === "totp" && (
                        <Field label="Seconds until another code" value={period} onInput={set("period")} numeric />
                    )}
                    <Field label="Serial number" value={serial} onInput={set("serial")} hint="May be left empty." />
                </>
            )}
        </Modal>
    );
}

function Rename({ device, onClose, onChosen }: { device: Device; onClose: () => void; onChosen: (name: string) => void }) {
    const [name, setName] = useState(device.name);
    return (
        <Modal
            title="Rename a device"
            onClose={onClose}
            onSubmit={() => onChosen(name)}
            footer={
                <>
                    <Button kind="primary" submit disabled={name.trim() === "" || name === device.name}>
                        Rename
                    </Button>
                    <Button kind="link" onClick={onClose}>
                        Cancel
                    </Button>
                </>
            }
        >
            <Field label="New name" value={name} onInput={setName} focused />
        </Modal>
    );
}
