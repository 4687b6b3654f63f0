// One user, and what an administrator does about them.

import { useState } from "preact/hooks";

import type { Device, Status } from "./answers";
import { useAsked } from "./asked";
import { useGiven } from "./given";
import { Ordering } from "./ordering";
import { DISABLE, ENROLL, EXEMPT, FORGET, type Order, REQUIRE, RESET, REVOKE, UNLOCK, UNREQUIRE } from "./orders";
import { Passcode } from "./passcode";
import { Button, Card, Facts, Modal, Name, Refused, Table, Waiting, Warnings } from "./pieces";
import { go } from "./place";
import { Refusals } from "./refusals";
import { kind, lock_of, moment, override_of } from "./words";

const ORDERS = [REQUIRE, ENROLL, EXEMPT, UNREQUIRE, UNLOCK, FORGET, REVOKE, RESET, DISABLE];

export function User({ name }: { name: string }) {
    const { answers, running, why, again, warnings } = useAsked<Status>(["admin", "show", "--", name], "root");
    const [order, setOrder] = useState<Order | null>(null);
    const [isIssuing, setIssuing] = useState(false);
    const [removed, setRemoved] = useState<Device | null>(null);
    const found = answers?.[0];
    // An address can say another name than it means.
    const status = found?.user === name ? found : undefined;
    const close = () => {
        setOrder(null);
        setIssuing(false);
        setRemoved(null);
        again();
    };
    return (
        <>
            <p>
                <Button kind="link" onClick={() => go("users")}>
                    All users
                </Button>
            </p>
            <h2 class="pf-v6-c-title pf-m-xl">
                <Name>{name}</Name>
            </h2>
            <Warnings of={warnings} />
            {why !== null && <Refused why={why} />}
            {running !== null && <Waiting>Reading the record</Waiting>}
            {running === null && (
                <Card title="Orders">
                <p class="otp-actions">
                    <Button onClick={() => setIssuing(true)}>Issue a passcode</Button>
                    {ORDERS.map((order) => (
                        <Button kind={order.destroys ? "danger" : "secondary"} onClick={() => setOrder(order)}>
                            {order.button}
                        </Button>
                    ))}
                </p>
                </Card>
            )}
            {status && (
                <>
                    <Card title="Second factor">
                        <Facts
                            facts={[
                                ["Last accepted", moment(status.last_accepted)],
                                ["Recovery codes left", String(status.recovery_codes_left)],
                                ["Wrong codes", lock_of(status) ?? "none"],
                                ["Override", override_of(status)],
                                ["Passcode", passcode(status)],
                            ]}
                        />
                    </Card>
                    <Card title="Devices">
                        {status.devices.length === 0 ? (
                            <p>No device is set up.</p>
                        ) : (
                            <Table
                                label="Devices"
                                rows={status.devices}
                                id={(device) => String(device.id)}
                                columns={[
                                    { title: "Name", cell: (device) => <Name>{device.name}</Name> },
                                    { title: "Kind", cell: kind },
                                    { title: "Serial number", cell: (device) => device.serial ?? "" },
                                    { title: "Last used", cell: (device) => moment(device.last_used) },
                                    {
                                        title: "Actions",
                                        cell: (device) =>
                                            status.devices.length > 1 && (
                                                <Button kind="link" about={device.name} onClick={() => setRemoved(device)}>
                                                    Remove
                                                </Button>
                                            ),
                                    },
                                ]}
                            />
                        )}
                    </Card>
                    <Card title="Last refusals">
                        <Refusals refusals={status.refusals ?? []} from={status.refusals_from ?? null} />
                    </Card>
                </>
            )}
            {order && (
                <Ordering
                    order={order}
                    users={[name]}
                    without={status?.devices.length === 0 ? [name] : []}
                    onDone={close}
                    onCancel={() => setOrder(null)}
                />
            )}
            {isIssuing && <Passcode user={name} onClose={close} />}
            {removed && <Removal user={name} device={removed} onClose={close} />}
        </>
    );
}

function passcode({ passcode }: Status): string {
    if (!passcode) return "none";
    const until = `good until ${moment(passcode.until)}${passcode.service === null ? "" : `, at ${passcode.service} alone`}`;
    return passcode.used ? "used" : passcode.expired ? "expired" : until;
}

function Removal({ user, device, onClose }: { user: string; device: Device; onClose: () => void }) {
    const { isRunning, why, give } = useGiven();
    return (
        <Modal
            title="Remove a device"
            onClose={isRunning ? undefined : onClose}
            onSubmit={() => give(["admin", "remove", "--yes", "--", user, String(device.id)], onClose)}
            footer={
                <>
                    <Button kind="danger" submit disabled={isRunning}>
                        Remove
                    </Button>
                    <Button kind="link" onClick={onClose} disabled={isRunning} focused>
                        Cancel
                    </Button>
                </>
            }
        >
            <p>
                Codes of <Name>{device.name}</Name> are refused from then on. Recovery codes stay.
            </p>
            {why !== null && <Refused why={why} />}
        </Modal>
    );
}
