// To the clipboard.

/** Cockpit's page is a frame, to which a browser may refuse the clipboard; the older way needs no permission. */
export async function copied(text: string): Promise<boolean> {
    try {
        await navigator.clipboard.writeText(text);
        return true;
    } catch {
        const area = document.createElement("textarea");
        area.value = text;
        (document.querySelector("dialog[open]") ?? document.body).append(area);
        area.select();
        const is_copied = document.execCommand("copy");
        area.remove();
        return is_copied;
    }
}
