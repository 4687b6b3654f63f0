// The page: a user's own second factor, and with administrative access everybody's.

import { render } from "preact";
import { useEffect, useState } from "preact/hooks";

import { Doctor } from "./doctor";
import { follow_look } from "./look";
import { Mine } from "./mine";
import { Alert, Refused, Waiting } from "./pieces";
import { go, usePlace } from "./place";
import { Policy } from "./policy";
import { RefusalsOfADay } from "./refusals";
import { Rollout } from "./rollout";
import { User } from "./user";
import { Users } from "./users";
import "./index.css";

const PARTS = {
    mine: "Yours",
    users: "Users",
    policy: "Policy",
    doctor: "Doctor",
    refusals: "Refusals",
    rollout: "Rollout",
};

type Part = keyof typeof PARTS;

/** Whether commands may run as root; `null` while it is not known. */
function useAccess(): boolean | null {
    const [permission] = useState(() => cockpit.permission({ admin: true }));
    const [allowed, setAllowed] = useState(permission.allowed);
    useEffect(() => permission.addEventListener("changed", () => setAllowed(permission.allowed)), []);
    return allowed;
}

function Page() {
    const path = usePlace();
    const may_administer = useAccess();
    const [user, setUser] = useState<cockpit.User | null>(null);
    const [why, setWhy] = useState<unknown>(null);
    useEffect(() => void cockpit.user().then(setUser, setWhy), []);
    // What is shown once stays, also if the access is given up meanwhile.
    const [mayLook, setMayLook] = useState(false);
    useEffect(() => {
        if (may_administer) setMayLook(true);
    }, [may_administer]);
    const part: Part = path[0] !== undefined && Object.prototype.hasOwnProperty.call(PARTS, path[0]) ? (path[0] as Part) : "mine";
    return (
        <>
            <header class="pf-v6-c-page__main-section otp-head">
                <h1 class="pf-v6-c-title pf-m-2xl">Second factor</h1>
                {may_administer && (
                    <nav class="pf-v6-c-tabs" aria-label="Parts">
                        <ul class="pf-v6-c-tabs__list">
                            {Object.entries(PARTS).map(([word, title]) => (
                                <li class={`pf-v6-c-tabs__item${word === part ? " pf-m-current" : ""}`}>
                                    <a
                                        class="pf-v6-c-tabs__link"
                                        href={`#/${word}`}
                                        onClick={(event) => {
                                            event.preventDefault();
                                            go(word);
                                        }}
                                        {...(word === part ? { "aria-current": "page" as const } : {})}
                                    >
                                        <span class="pf-v6-c-tabs__item-text">{title}</span>
                                    </a>
                                </li>
                            ))}
                        </ul>
                    </nav>
                )}
            </header>
            <main class="pf-v6-c-page__main-section otp-main">
                {why !== null && <Refused why={why} />}
                {part !== "mine" && may_administer === false && !mayLook ? (
                    <Alert severity="info" title="Administrative access is needed for this">
                        Turn it on at the top of Cockpit's window.
                    </Alert>
                ) : part !== "mine" && may_administer === null && !mayLook ? (
                    <Waiting>Please wait</Waiting>
                ) : part === "mine" ? (
                    user && <Mine user={user} />
                ) : part === "users" && path[1] !== undefined ? (
                    <User key={path[1]} name={path[1]} />
                ) : (
                    <Part part={part} />
                )}
            </main>
        </>
    );
}

function Part({ part }: { part: Exclude<Part, "mine"> }) {
    switch (part) {
        case "users":
            return <Users />;
        case "policy":
            return <Policy />;
        case "doctor":
            return <Doctor />;
        case "refusals":
            return <RefusalsOfADay />;
        case "rollout":
            return <Rollout />;
    }
}

follow_look();
const root = document.getElementById("page");
if (root) render(<Page />, root);
