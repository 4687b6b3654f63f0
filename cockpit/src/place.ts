// Where in this page the person is: the part of the address that Cockpit keeps.

import { useEffect, useState } from "preact/hooks";

export function go(...path: string[]): void {
    cockpit.location.go(path);
}

export function usePlace(): string[] {
    const [path, setPath] = useState(cockpit.location.path);
    useEffect(() => cockpit.addEventListener("locationchanged", () => setPath(cockpit.location.path)), []);
    return path;
}
