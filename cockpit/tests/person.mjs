// A person at a browser: logs in to Cockpit, opens our page, looks at it.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import jsqr from "jsqr";
import { chromium } from "playwright-core";
import { PNG } from "pngjs";

export const HERE = process.env.PAM_OTP_HERE;
export const PASSWORD = process.env.PAM_OTP_PASSWORD;
const COCKPIT = "http://127.0.0.1:9090";
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** Windows that are open, of which a test that fails shows pictures. */
const open = new Set();

/** A test; if it fails, what its windows show is in a picture and in the error. Its own windows are closed. */
export function tried(name, story) {
    test(name, { timeout: 300_000 }, async () => {
        const before = new Set(open);
        try {
            await story();
        } catch (error) {
            const folder = process.env.PAM_OTP_PICTURES ?? HERE;
            let seen = "";
            for (const page of open) {
                const path = `${folder}/failed ${name} ${[...open].indexOf(page)}.png`;
                await page.screenshot({ path, timeout: 5000 }).catch(() => {});
                const texts = await Promise.all(page.frames().map((frame) => frame.locator("body").innerText({ timeout: 2000 }).catch(() => "")));
                seen += `\n--- ${page.url()} (${path})\n${texts.join("\n---\n")}\n${page.complaints?.join("\n") ?? ""}`;
            }
            throw new Error(`${error.stack}${seen}`);
        } finally {
            for (const page of open) {
                if (before.has(page)) continue;
                open.delete(page);
                await page.context().close().catch(() => {});
            }
        }
    });
}

/** A browser with nothing of before in it. */
export async function browser() {
    return chromium.launch({
        executablePath: "/usr/bin/chromium",
        args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
    });
}

/** A window, and what its pages complain of. */
export async function window_of(browser, options = {}) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale: "en-GB", acceptDownloads: true, ...options });
    context.on("page", (page) => open.add(page));
    context.setDefaultTimeout(45_000);
    const page = await context.newPage();
    page.complaints = [];
    page.on("pageerror", (error) => page.complaints.push(String(error)));
    page.on("console", (message) => {
        if (message.type() === "error" && /pam-otp|Content Security Policy/.test(`${message.text()} ${message.location().url}`)) page.complaints.push(message.text());
    });
    page.on("dialog", (dialog) => {
        page.complaints.push(`a dialog: ${dialog.message()}`);
        void dialog.dismiss();
    });
    return page;
}

/** Types name and password. */
export async function log_in(page, user) {
    await page.goto(`${COCKPIT}/pam-otp`);
    await page.fill("#login-user-input", user);
    await page.fill("#login-password-input", PASSWORD);
    await page.click("#login-button");
}

export async function answer(page, text) {
    await page.waitForSelector("#conversation-input", { state: "visible", timeout: 30_000 });
    await page.fill("#conversation-input", text);
    await page.click("#login-button");
}

/** Our page within Cockpit's window. */
export async function ours(page) {
    const frame = await page.waitForSelector("iframe[name='cockpit1:localhost/pam-otp']", { state: "visible", timeout: 30_000 });
    const content = await frame.contentFrame();
    await content.getByRole("heading", { level: 1, name: "Second factor" }).waitFor();
    return content;
}

/** Logged in with password, and with a code where the user has a device. */
export async function session(page, user, options = {}) {
    await log_in(page, user);
    if (options.code !== undefined) await answer(page, options.code);
    return ours(page);
}

/** Administrative access, by the password, as Cockpit's button asks for it. */
export async function with_access(page) {
    const button = page.getByRole("button", { name: /Limited access|Administrative access/ }).first();
    await button.waitFor({ timeout: 30_000 });
    if ((await button.textContent()).includes("Limited")) {
        await button.click();
        const field = page.locator(".pf-c-modal-box input[type=password], .pf-v5-c-modal-box input[type=password]");
        const close = page.getByRole("button", { name: "Close" });
        await Promise.race([field.first().waitFor(), close.first().waitFor()]);
        if (await field.count()) {
            await field.first().fill(PASSWORD);
            await page.getByRole("button", { name: "Authenticate" }).click();
        }
        await close.first().click().catch(() => {});
    }
    return ours(page);
}

/** A code of a key, some steps from now. */
export function code_of(key, steps = 0) {
    const at = Math.floor(Date.now() / 1000) + 30 * steps;
    return execFileSync("oathtool", ["--totp", "--base32", `--now=@${at}`, key.replace(/ /g, "")], { encoding: "utf8" }).trim();
}

export function key_of(user) {
    return readFileSync(`${HERE}/${user}.key`, "utf8").trim();
}

/** A code that was not used, of the steps that the window of this machine has. */
export function next_code(user) {
    const file = `${HERE}/${user}.step`;
    const step = Math.max(Number(readFileSync(file, "utf8")) + 1, Math.floor(Date.now() / 30_000) - 7);
    writeFileSync(file, String(step));
    return execFileSync("oathtool", ["--totp", "--base32", `--now=@${step * 30}`, key_of(user)], { encoding: "utf8" }).trim();
}

export function recovery_code(user) {
    const file = `${HERE}/${user}.recovery`;
    const [first, ...rest] = readFileSync(file, "utf8").split("\n");
    writeFileSync(file, rest.join("\n"));
    return first;
}

/** A code that is none of the key's near now. */
export function wrong_code(user) {
    const near = new Set(Array.from({ length: 30 }, (_, at) => code_of(key_of(user), at - 15)));
    return ["000000", "111111", "222222", "333333", "444444"].find((code) => !near.has(code));
}

export function as_root(...command) {
    return execFileSync("otp-enroll", command, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

export function status_of(user) {
    return JSON.parse(as_root("admin", "show", "--json", "--", user));
}

/** What the QR code in a picture of the screen says. */
export function decoded(picture) {
    const { data, width, height } = PNG.sync.read(picture);
    return jsqr.default ? jsqr.default(new Uint8ClampedArray(data), width, height)?.data : jsqr(new Uint8ClampedArray(data), width, height)?.data;
}

/** What axe finds wrong for people who cannot see the page, or use no mouse. */
export async function violations(frame) {
    // The page's policy runs no text as a program, so axe comes in past it.
    const session = await frame.page().context().newCDPSession(frame.page());
    await session.send("Page.setBypassCSP", { enabled: true }).catch(() => {});
    await frame.evaluate(AXE).catch(() => {});
    const found = await frame.evaluate(async () => (await window.axe.run(document, { resultTypes: ["violations"] })).violations);
    return found.map(({ id, nodes }) => `${id}: ${nodes.map(({ target, failureSummary }) => `${target} ${failureSummary}`).join("; ")}`);
}

/** Files are otherwise for the time of a story. */
export async function with_files(files, story) {
    const before = Object.keys(files).map((path) => [path, readFileSync(path, "utf8")]);
    try {
        for (const [path, change] of Object.entries(files)) writeFileSync(path, change(readFileSync(path, "utf8")));
        await story();
    } finally {
        for (const [path, text] of before) writeFileSync(path, text);
    }
}

/** A picture, where they are wanted. */
export async function picture(page, name) {
    const folder = process.env.PAM_OTP_PICTURES;
    if (folder) await page.screenshot({ path: `${folder}/${name}.png` });
}

export function quiet(page) {
    assert.deepEqual(page.complaints, [], "the page complains of nothing");
}
