// Light or dark, as Cockpit's user has chosen: "auto" is what the system says.

const system = window.matchMedia("(prefers-color-scheme: dark)");

function look(): void {
    const chosen = localStorage.getItem("shell:style") ?? "auto";
    const is_dark = chosen === "dark" || (chosen === "auto" && system.matches);
    document.documentElement.classList.toggle("pf-v6-theme-dark", is_dark);
}

export function follow_look(): void {
    look();
    system.addEventListener("change", look);
    // Cockpit's shell tells the frames of its window, and the browser those of other windows.
    window.addEventListener("cockpit-style", look);
    window.addEventListener("storage", ({ key }) => {
        if (key === "shell:style") look();
    });
}
