// A PAM service, about whose logins is asked.

import { useState } from "preact/hooks";

import { Field } from "./pieces";

export const SERVICES = ["sshd", "login", "sudo", "su", "cockpit", "polkit-1"];

/** Asked again when the field is left, or Enter is pressed. */
export function Service({ value, onChosen }: { value: string; onChosen: (service: string) => void }) {
    const [typed, setTyped] = useState(value);
    const choose = () => {
        if (typed.trim() !== "") onChosen(typed.trim());
    };
    return (
        <form
            onSubmit={(event) => {
                event.preventDefault();
                choose();
            }}
            onFocusOut={choose}
        >
            <Field label="A login through" value={typed} onInput={setTyped} choices={SERVICES} hint="A PAM service, such as sshd." />
        </form>
    );
}
