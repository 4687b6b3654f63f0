// The lines of otp-enroll --json: otp-enroll(1), JSON.

export interface Device {
    id: number;
    name: string;
    type: "totp" | "hotp" | "ocra" | "sms" | "email";
    digits: number;
    created: string;
    default: boolean;
    last_used: string | null;
    confirmed: boolean;
    awaits_resync: boolean;
    serial: string | null;
    drift: number | null;
    to?: string;
}

export interface Passcode {
    until: string;
    service: string | null;
    used: boolean;
    expired: boolean;
}

export interface Status {
    user: string;
    enrolled: boolean;
    override: "required" | "enroll" | "exempt" | "none";
    override_until: string | null;
    devices: Device[];
    recovery_codes_left: number;
    failures: number;
    lock: string;
    last_accepted: string | null;
    passcode?: Passcode;
    refusals?: Refused[];
    refusals_from?: string | null;
}

export interface Refused {
    time: string;
    user?: string;
    why: string;
    failures: number | null;
    error: string | null;
    service: string | null;
    /** The host of the fleet, where its audit says so. */
    host?: string;
    rhost: string | null;
    change: string | null;
    enforced: boolean;
}

export interface Unusable {
    file: string;
    error: string;
    hint: string;
}

export interface WithoutDevice {
    user: string;
    service: string;
    outcome: string;
    enforced: boolean;
}

export interface Finding {
    severity: "fault" | "warning" | "note";
    subjects: string[];
    what: string;
    fix: string;
}

export interface Explained {
    user: string;
    service: string;
    rhost: string | null;
    has_device: boolean;
    decided_by: string;
    file: string;
    line: number | null;
    second_factor: string;
    accepted_kinds: string[];
    outcome: string;
    enforced: boolean;
    has_line: boolean;
}

export interface Offer {
    user: string;
    issuer: string;
    secret: string;
    hex: string;
    uri: string;
    qr: string;
}

/** What `--dialog` says before a line is read. */
export interface Question {
    asks: "proof" | "code" | "next-code" | "passcode" | "pin" | "seed" | "recovery-key";
    refused?: string;
    hint?: string;
}
