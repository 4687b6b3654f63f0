// What an administrator orders about users, and what it means for them.

export interface Order {
    /** The command of `otp-enroll admin`. */
    command: string;
    title: string;
    button: string;
    meaning: string;
    /** Takes something away that does not come back. */
    destroys?: boolean;
    /** What becomes of users who have no device. */
    needs_device?: string;
    /** May end by itself on a day. */
    until?: boolean;
}

export const REQUIRE: Order = {
    command: "require",
    title: "Require a second factor",
    button: "Require",
    meaning: "Every login must give a code, whatever the rules say. A user without a device cannot log in then.",
    needs_device: "They cannot log in then:",
    until: true,
};

export const ENROLL: Order = {
    command: "require --enroll",
    title: "Require enrollment",
    button: "Require enrollment",
    meaning: "Every login must give a code. A user without a device enrolls one during the next login, where the service offers it, and is refused elsewhere.",
    needs_device: "They are refused where enrollment during the login is not offered:",
    until: true,
};

export const EXEMPT: Order = {
    command: "exempt",
    title: "Exempt from the second factor",
    button: "Exempt",
    meaning: "A user without a device logs in without a code, whatever the rules say. A user who has a device is still asked.",
    until: true,
};

export const UNREQUIRE: Order = {
    command: "unrequire",
    title: "Remove the override",
    button: "Remove override",
    meaning: "The rules of the policy decide again.",
};

export const UNLOCK: Order = {
    command: "unlock",
    title: "Unlock",
    button: "Unlock",
    meaning: "Codes are accepted again after too many wrong ones. Used codes stay used.",
};

export const FORGET: Order = {
    command: "forget-addresses",
    title: "Forget remembered addresses",
    button: "Forget addresses",
    meaning: "Every next login asks for a code, also from an address that is remembered.",
};

export const REVOKE: Order = {
    command: "revoke",
    title: "Revoke the passcode",
    button: "Revoke passcode",
    meaning: "The passcode that was issued is not accepted any more.",
};

export const RESET: Order = {
    command: "reset",
    title: "Reset",
    button: "Reset",
    meaning: "All devices, recovery codes and passcodes are removed, so that the user can enroll again. Overrides stay. Make sure who is asking for it.",
    destroys: true,
};

export const DISABLE: Order = {
    command: "disable",
    title: "Remove the whole record",
    button: "Remove record",
    meaning: "Devices, recovery codes, passcodes and overrides are removed. The rules still hold.",
    destroys: true,
};

/** What several users can be given at once. */
export const OF_MANY = [REQUIRE, ENROLL, EXEMPT, UNREQUIRE, UNLOCK, RESET];
