// Where in this page the person is: the part of the address that Cockpit keeps.

import { useEffect, useState } from "preact/hooks";

export function go(...path: string[]): void {
    // Cockpit leaves a # in a name as it is, and cuts there.
    cockpit.location.go(path.map(encodeURIComponent));
}

function here(): string[] {
    return cockpit.location.path.map((part) => {
        try {
            return decodeURIComponent(part);
        } catch {
            return part; // typed by a person
        }
    });
}

export function usePlace(): string[] {
    const [path, setPath] = useState(here);
    useEffect(() => cockpit.addEventListener("locationchanged", () => setPath(here())), []);
    return path;
}
