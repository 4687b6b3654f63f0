// What comes between: a bridge that is gone, a session that ends by itself, a keyboard alone.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { after, before } from "node:test";
import { browser, code_of, decoded, next_code, ours, session, status_of, tried, window_of, with_files } from "./person.mjs";

let chrome;
before(async () => {
    chrome = await browser();
});
after(() => chrome.close());

const dialog = (frame) => frame.getByRole("dialog");

function dialogs_of(user) {
    try {
        return Number(execFileSync("pgrep", ["--count", "--uid", user, "--full", "otp-enroll --dialog"], { encoding: "utf8" }));
    } catch {
        return 0;
    }
}

async function no_dialogs_of(user) {
    for (let at = 0; at < 100 && dialogs_of(user) > 0; at += 1) await new Promise((resolve) => setTimeout(resolve, 200));
    assert.equal(dialogs_of(user), 0, "otp-enroll has ended");
}

async function at_the_key(page, frame) {
    await frame.getByRole("button", { name: "Set up an app" }).click();
    await dialog(frame).getByRole("img", { name: "QR code" }).waitFor();
    return new URL(decoded(await page.screenshot())).searchParams.get("secret");
}

tried("a bridge that is gone in the middle of a set-up", async () => {
    const page = await window_of(chrome);
    const frame = await session(page, "erin");
    const key = await at_the_key(page, frame);
    assert.equal(dialogs_of("erin"), 1);
    execFileSync("pkill", ["--uid", "erin", "--exact", "cockpit-bridge"]);
    await page.getByText(/disconnected|terminated|Log in|Server has closed/i).first().waitFor();
    await no_dialogs_of("erin");
    assert.equal(status_of("erin").enrolled, false);
    // Where the page is still there, it says so, and does not show the key any more.
    for (const frame of page.frames()) {
        const html = await frame.content().catch(() => "");
        assert.ok(!html.includes(key), "the key is gone");
    }
});

tried("a session that ends for want of a person takes the key with it", async () => {
    // Minutes.
    const impatient = { "/etc/cockpit/cockpit.conf": (text) => `${text}[Session]\nIdleTimeout = 1\n` };
    await with_files(impatient, async () => {
        const page = await window_of(chrome);
        const frame = await session(page, "erin");
        await at_the_key(page, frame);
        assert.equal(dialogs_of("erin"), 1);
        await page.waitForSelector("#login-user-input", { state: "visible", timeout: 90_000 });
        await no_dialogs_of("erin");
        assert.equal(status_of("erin").enrolled, false);
    });
});

tried("a keyboard alone is enough, and the focus comes back", async () => {
    const page = await window_of(chrome);
    const frame = await session(page, "erin");
    const button = frame.getByRole("button", { name: "Set up an app" });
    await button.focus();
    await page.keyboard.press("Enter");
    await dialog(frame).getByRole("img", { name: "QR code" }).waitFor();
    const key = new URL(decoded(await page.screenshot())).searchParams.get("secret");
    await frame.locator("input:focus").waitFor();
    await page.keyboard.press("Escape");
    await frame.getByRole("button", { name: "Go on with it" }).and(frame.locator(":focus")).waitFor();
    await page.keyboard.press("Escape");
    await dialog(frame).waitFor({ state: "detached" });
    await frame.getByRole("button", { name: "Set up an app" }).and(frame.locator(":focus")).waitFor();

    await page.keyboard.press("Enter");
    await dialog(frame).getByRole("img", { name: "QR code" }).waitFor();
    await frame.locator("input:focus").waitFor();
    const next = new URL(decoded(await page.screenshot())).searchParams.get("secret");
    assert.notEqual(next, key, "each set-up has a key of its own");
    await page.keyboard.type(code_of(next));
    await page.keyboard.press("Enter");
    await dialog(frame).getByRole("list", { name: "Recovery codes" }).waitFor();
    for (let at = 0; at < 8; at += 1) {
        await page.keyboard.press("Tab");
        if (await frame.locator("input[type=checkbox]:focus").count()) break;
    }
    await page.keyboard.press("Space");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await frame.getByRole("table", { name: "Devices" }).waitFor();
    assert.equal(status_of("erin").enrolled, true);
});

tried("a device that another window has set up is there when the person comes back", async () => {
    const page = await window_of(chrome);
    const frame = await session(page, "ivan", { code: next_code("ivan") });
    await frame.getByRole("table", { name: "Devices" }).waitFor();
    execFileSync("otp-enroll", ["admin", "require", "--yes", "ivan"]);
    await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
    await frame.evaluate(() => document.dispatchEvent(new Event("visibilitychange")));
    await frame.getByText("required", { exact: true }).waitFor();
    await ours(page);
});
