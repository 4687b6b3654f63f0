// What this page uses of base1/cockpit.js, which Cockpit serves: https://cockpit-project.org/guide/latest/api-base1

declare namespace cockpit {
    /** Why a process ended that did not end well. */
    interface ProcessError {
        /** A word such as `not-found`, `access-denied`, `disconnected`; `null` if the program ran. */
        problem: string | null;
        exit_status: number | null;
        /** Standard error. */
        message: string;
    }

    interface Process extends Promise<string> {
        stream(listener: (text: string) => void): Process;
        /** Standard input; it stays open with `more`. */
        input(text: string, more?: boolean): Process;
        close(problem?: string): void;
    }

    interface SpawnOptions {
        /** Standard error goes where standard output goes. */
        err: "out";
        superuser?: "require";
        environ?: string[];
    }

    interface User {
        id: number;
        name: string;
    }

    interface Permission {
        /** `null` while it is not known. */
        allowed: boolean | null;
        addEventListener(event: "changed", listener: () => void): void;
    }

    interface Location {
        path: string[];
        go(path: string[]): void;
    }

    function spawn(command: string[], options: SpawnOptions): Process;
    function user(): Promise<User>;
    function permission(options: { admin: true }): Permission;
    function addEventListener(event: "locationchanged", listener: () => void): void;
    /** Another object after each change. */
    const location: Location;
}
