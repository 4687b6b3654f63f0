// What the words of otp-enroll mean, for people.

import type { Device, Explained, Status } from "./answers";

/** What a word means; a word that is not known is itself. */
function word_of(words: Record<string, string>, word: string): string {
    return Object.prototype.hasOwnProperty.call(words, word) ? (words[word] ?? word) : word;
}

/** pam_otp(8), "Why a login was refused". */
const REASONS: Record<string, string> = {
    wrong: "The code was wrong.",
    replayed: "The code was right, but it was used already.",
    locked: "Too many wrong codes: this one was not checked.",
    malformed: "What was typed is no code: nothing, or the password.",
    "recovery-used": "The recovery code was used already.",
    "recovery-unknown": "It looks like a recovery code, but is none of the present ones.",
    "host-budget": "Too many wrong codes came from this service or host.",
    "host-not-permitted": "The fleet does not let this host ask about this user.",
    "sealed-no-key": "The key that opens the sealed seed is not there.",
    "sealed-other-key": "The seed is sealed under another key.",
    "sealed-no-agent": "The agent does not answer with the key of the sealed seed.",
    "sealed-altered": "The sealed seed was altered.",
    "passcode-used": "The passcode was used already.",
    "passcode-unknown": "It looks like a passcode, but is not the one that was issued last.",
    "passcode-expired": "The passcode has expired.",
    "passcode-elsewhere": "The passcode was issued for another service.",
    "kind-not-accepted": "The policy does not accept this kind of device here.",
    "not-enrolled": "A second factor is required, and the user has no device.",
    "enrollment-not-offered": "The user must enroll a device, and this service does not offer it.",
    renamed: "The account was renamed, and its record was not.",
    "unknown-user": "There is no such account.",
    "enrollment-incomplete": "The user did not complete the enrollment during the login.",
    "enrollment-overtaken": "Another login of the user enrolled a device first.",
    error: "No decision was possible.",
};

export function reason(why: string): string {
    return word_of(REASONS, why);
}

const KINDS: Record<string, string> = {
    totp: "codes of the time (TOTP)",
    hotp: "codes that count (HOTP)",
    ocra: "token with a keypad (OCRA)",
    sms: "text message",
    email: "e-mail",
};

export function kind(device: Device): string {
    const what = KINDS[device.type] ?? device.type;
    return device.to ? `${what} to ${device.to}` : what;
}

export function kinds(words: string[]): string {
    return words.map((word) => KINDS[word] ?? word).join(", ");
}

const OUTCOMES: Record<string, string> = {
    asked: "The user is asked for a code.",
    refused: "The user is asked for a code, has no device, and is refused.",
    "kind-not-accepted": "The user is asked for a code, has no device of an accepted kind, and is refused.",
    passcode: "The user is asked for the passcode that was issued.",
    "no-passcode": "The user is asked for a passcode, and has none that is good.",
    enroll: "The user enrolls a device during the login.",
    grace: "The user is not asked: a code was accepted from this address a short time ago.",
    renamed: "The user is asked and refused: the account was renamed.",
    "not-asked": "The user is not asked for a code.",
};

export function outcome(word: string): string {
    return word_of(OUTCOMES, word);
}

export function decided_by({ decided_by, file, line }: Explained): string {
    const rule = /^rule-(\d+)$/.exec(decided_by);
    if (rule) return `Rule ${rule[1]} of the policy, ${file}${line === null ? "" : `, line ${line}`}`;
    if (decided_by === "override") return "The override of this user";
    if (decided_by === "nullok") return "nullok on the module's line";
    if (decided_by === "default") return `The default of the policy, ${file}`;
    return decided_by;
}

const OVERRIDES: Record<Status["override"], string> = {
    required: "required",
    enroll: "required, enrolls during the login",
    exempt: "exempt without a device",
    none: "none: the rules decide",
};

export function override_of({ override, override_until }: Status): string {
    const until = override_until === null ? "" : ` until ${day(override_until)}`;
    return `${OVERRIDES[override] ?? override}${until}`;
}

export function lock_of({ lock, failures }: Status): string | null {
    if (lock === "open") return failures > 0 ? `${failures} wrong in a row` : null;
    return lock === "until-unlocked" ? "Locked until you unlock" : `Locked until ${moment(lock)}`;
}

/** A time as the person's own clock and language show it; other texts as they are. */
export function moment(time: string | null): string {
    if (time === null) return "never";
    // A file of syslog may have times without a year, of which a browser makes one.
    const date = new Date(/^\d{4}-/.test(time) ? time : NaN);
    if (Number.isNaN(date.getTime())) return time;
    return date.toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

export function day(time: string): string {
    const date = new Date(time);
    return Number.isNaN(date.getTime()) ? time : date.toLocaleDateString(undefined, { dateStyle: "medium", timeZone: "UTC" });
}

/** One of several, and many. */
export function number(count: number, one: string, many: string): string {
    return `${count.toLocaleString()} ${count === 1 ? one : many}`;
}
