// A user and their own second factor.

import assert from "node:assert/strict";
import { after, before } from "node:test";
import { answer, as_root, browser, code_of, decoded, log_in, next_code, ours, picture, quiet, session, status_of, tried, violations, window_of, wrong_code } from "./person.mjs";

let chrome;
before(async () => {
    chrome = await browser();
});
after(() => chrome.close());

const dialog = (frame) => frame.getByRole("dialog");
/** The name of a device in the list of them. */
const named = (frame, name) => frame.getByRole("table", { name: "Devices" }).locator("bdi").getByText(name, { exact: true });

/** What a user without a device does: the app is set up by the picture on the screen. */
async function sets_up_an_app(page, frame) {
    await frame.getByRole("button", { name: "Set up an app" }).click();
    const image = dialog(frame).getByRole("img", { name: "QR code" });
    await image.waitFor();
    await picture(page, "cockpit-app");
    const uri = new URL(decoded(await page.screenshot()));
    assert.equal(uri.protocol, "otpauth:");
    const key = uri.searchParams.get("secret");
    await dialog(frame).getByRole("button", { name: /show the key/ }).click();
    const typed = await dialog(frame).locator("code").first().textContent();
    assert.equal(typed.replace(/ /g, ""), key, "the key to type is that of the picture");
    return key;
}

tried("a user without a device sets up an app by the picture on the screen", async () => {
    const page = await window_of(chrome);
    const frame = await session(page, "bob");
    assert.deepEqual(await violations(frame), []);
    const key = await sets_up_an_app(page, frame);
    assert.deepEqual(await violations(frame), []);
    assert.equal(status_of("bob").enrolled, false, "nothing is active before a code was right");

    const field = dialog(frame).getByLabel("Code that the device shows");
    await field.fill("000000");
    await field.press("Enter");
    await dialog(frame).getByText("code is not correct").waitFor();
    await field.fill(code_of(key));
    await field.press("Enter");

    const codes = dialog(frame).getByRole("list", { name: "Recovery codes" }).getByRole("listitem");
    await codes.first().waitFor();
    assert.equal(await codes.count(), 10);
    assert.deepEqual(await violations(frame), []);
    await picture(page, "cockpit-recovery");
    assert.ok(!(await frame.content()).includes(key), "the key is gone from the page");
    const first = (await codes.first().textContent()).trim();

    await page.keyboard.press("Escape");
    assert.ok(await codes.first().isVisible(), "Escape does not take codes away that are shown once");
    const [download] = await Promise.all([page.waitForEvent("download"), dialog(frame).getByRole("button", { name: "Download" }).click()]);
    const saved = await (await import("node:fs/promises")).readFile(await download.path(), "utf8");
    assert.match(saved.split("\n")[0], /^Recovery codes of bob on /);
    assert.equal(saved.split("\n")[1], first);
    assert.equal(saved.trim().split("\n").length, 11);
    // On paper there is nothing else.
    await page.emulateMedia({ media: "print" });
    assert.ok(await codes.first().isVisible(), "the codes are printed");
    assert.ok(!(await frame.getByRole("heading", { level: 1 }).isVisible()), "and the page is not");
    await page.emulateMedia({ media: "screen" });
    await dialog(frame).getByRole("button", { name: "Copy" }).click();
    await dialog(frame).getByText("Copied.").waitFor();
    await dialog(frame).getByLabel("I have them in a safe place").check();
    await dialog(frame).getByRole("button", { name: "Done" }).click();

    await named(frame, "authenticator").waitFor();
    assert.ok(!(await frame.content()).includes(first), "the recovery codes are gone from the page");
    assert.equal(status_of("bob").enrolled, true);
    assert.deepEqual(await violations(frame), []);
    await picture(page, "cockpit-devices");
    quiet(page);

    // The recovery code lets in.
    const other = await window_of(chrome);
    const again = await session(other, "bob", { code: first });
    await again.getByText("9 codes are left").waitFor();
});

tried("each change asks for a proof, and a wrong one changes nothing", async () => {
    const page = await window_of(chrome);
    const frame = await session(page, "alice", { code: next_code("alice") });
    await frame.getByRole("button", { name: "Rename authenticator" }).click();
    await dialog(frame).getByLabel("New name").fill('<b onclick="alert(1)">phone</b>');
    await dialog(frame).getByRole("button", { name: "Rename" }).click();
    const proof = dialog(frame).getByLabel("Current code, or a recovery code");
    await proof.fill(next_code("alice"));
    await proof.press("Enter");
    await named(frame, '<b onclick="alert(1)">phone</b>').waitFor();
    assert.equal(status_of("alice").devices[0].name, '<b onclick="alert(1)">phone</b>');

    await frame.getByRole("button", { name: "Try a code" }).click();
    await proof.fill(next_code("alice"));
    await proof.press("Enter");
    await dialog(frame).getByText("That code is correct").waitFor();
    await dialog(frame).getByRole("button", { name: "Close" }).first().click();

    await frame.getByRole("button", { name: "New codes" }).click();
    await proof.fill(wrong_code("alice"));
    await proof.press("Enter");
    await dialog(frame).getByRole("alert").waitFor();
    assert.equal(status_of("alice").failures, 1);
    assert.equal(status_of("alice").recovery_codes_left, 10);
    await dialog(frame).getByRole("button", { name: "Try again" }).click();
    await proof.fill(next_code("alice"));
    await proof.press("Enter");
    await dialog(frame).getByRole("list", { name: "Recovery codes" }).waitFor();
    await dialog(frame).getByLabel("I have them in a safe place").check();
    await dialog(frame).getByRole("button", { name: "Done" }).click();
    quiet(page);
});

tried("a second device, a token, the default and a removal", async () => {
    const page = await window_of(chrome);
    const frame = await session(page, "alice", { code: next_code("alice") });
    const devices = frame.getByRole("table", { name: "Devices" });
    const prove = async () => {
        const proof = dialog(frame).getByLabel("Current code, or a recovery code");
        await proof.fill(next_code("alice"));
        await proof.press("Enter");
    };

    await frame.getByRole("button", { name: "Add a device" }).click();
    await dialog(frame).getByLabel("Name").fill("tablet");
    await dialog(frame).getByRole("button", { name: "Continue" }).click();
    await prove();
    await dialog(frame).getByRole("img", { name: "QR code" }).waitFor();
    const key = new URL(decoded(await page.screenshot())).searchParams.get("secret");
    const code = dialog(frame).getByLabel("Code that the device shows");
    await code.fill(code_of(key));
    await code.press("Enter");
    await named(frame, "tablet").waitFor();

    await frame.getByRole("button", { name: "Add a device" }).click();
    await dialog(frame).getByLabel("Kind").selectOption("token");
    await dialog(frame).getByLabel("Name").fill("blue key");
    await dialog(frame).getByLabel("It counts").selectOption("hotp");
    await dialog(frame).getByLabel("Serial number").fill("GALT1");
    await dialog(frame).getByRole("button", { name: "Continue" }).click();
    const seed = dialog(frame).getByLabel("Seed of the token");
    assert.equal(await seed.getAttribute("type"), "password");
    await seed.fill("3132333435363738393031323334353637383930");
    await seed.press("Enter");
    await prove();
    // RFC 4226, appendix D: the first codes of that seed.
    await code.fill("755224");
    await code.press("Enter");
    await named(frame, "blue key").waitFor();
    assert.deepEqual(await violations(frame), []);

    // A name that another device has can be another, in the form that it came from.
    await frame.getByRole("button", { name: "Rename blue key" }).click();
    await dialog(frame).getByLabel("New name").fill("tablet");
    await dialog(frame).getByRole("button", { name: "Rename" }).click();
    await dialog(frame).getByText("another device has this name").waitFor();
    await dialog(frame).getByRole("button", { name: "Back" }).click();
    await dialog(frame).getByLabel("New name").waitFor();
    await dialog(frame).getByRole("button", { name: "Cancel" }).click();

    await frame.getByRole("button", { name: "Make default tablet" }).click();
    await prove();
    await devices.getByRole("row", { name: /tablet/ }).getByText("default", { exact: true }).waitFor();
    await frame.getByRole("button", { name: "Remove blue key" }).click();
    await prove();
    await named(frame, "blue key").waitFor({ state: "detached" });
    assert.deepEqual(
        status_of("alice").devices.map(({ name }) => name),
        ['<b onclick="alert(1)">phone</b>', "tablet"],
    );
    quiet(page);
});

tried("a wrong code at Cockpit's login is refused, and the user is locked after six", async () => {
    const page = await window_of(chrome);
    await log_in(page, "frank");
    await answer(page, wrong_code("frank"));
    await page.getByText(/Wrong user name or password|Authentication failed/).waitFor();
    for (let at = 1; at < 6; at += 1) {
        await log_in(page, "frank");
        await answer(page, wrong_code("frank"));
        await page.getByText(/Wrong user name or password|Authentication failed/).waitFor();
    }
    assert.notEqual(status_of("frank").lock, "open");
    await log_in(page, "frank");
    await answer(page, next_code("frank"));
    await page.getByText(/Wrong user name or password|Authentication failed/).waitFor();
    as_root("admin", "unlock", "frank");
    const frame = await session(page, "frank", { code: next_code("frank") });
    await frame.getByRole("table", { name: "Devices" }).waitFor();
});

tried("a set-up that is left changes nothing, and one of two tabs gets through", async () => {
    const page = await window_of(chrome);
    const frame = await session(page, "carol");
    await frame.getByRole("button", { name: "Set up an app" }).click();
    await dialog(frame).getByRole("img", { name: "QR code" }).waitFor();
    await page.keyboard.press("Escape");
    await dialog(frame).getByText("Nothing is set up yet").waitFor();
    await dialog(frame).getByRole("button", { name: "Go on with it" }).click();
    await dialog(frame).getByRole("img", { name: "QR code" }).waitFor();
    await page.keyboard.press("Escape");
    await dialog(frame).getByRole("button", { name: "Leave" }).click();
    await dialog(frame).waitFor({ state: "detached" });
    assert.equal(status_of("carol").enrolled, false);

    const other = await page.context().newPage();
    await other.goto("http://127.0.0.1:9090/pam-otp");
    const second = await ours(other);
    const keys = [];
    for (const [tab, its] of [[page, frame], [other, second]]) {
        await tab.bringToFront();
        await its.getByRole("button", { name: "Set up an app" }).click();
        await dialog(its).getByRole("img", { name: "QR code" }).waitFor();
        keys.push(new URL(decoded(await tab.screenshot())).searchParams.get("secret"));
    }
    assert.notEqual(keys[0], keys[1]);
    await other.bringToFront();
    await dialog(second).getByLabel("Code that the device shows").fill(code_of(keys[1]));
    await other.keyboard.press("Enter");
    await dialog(second).getByRole("list", { name: "Recovery codes" }).waitFor();
    await page.bringToFront();
    await dialog(frame).getByLabel("Code that the device shows").fill(code_of(keys[0]));
    await page.keyboard.press("Enter");
    await dialog(frame).getByText(/changed meanwhile|enrolled|start again/i).first().waitFor();
    assert.ok(!(await frame.content()).includes(keys[0]), "the key that came too late is gone");
    assert.equal(status_of("carol").devices.length, 1);
});

tried("a connection that is lost in the middle of a set-up leaves nothing behind", async () => {
    const page = await window_of(chrome);
    const frame = await session(page, "erin");
    await frame.getByRole("button", { name: "Set up an app" }).click();
    await dialog(frame).getByRole("img", { name: "QR code" }).waitFor();
    const running = () => {
        try {
            return as_root("--version") && Number(execPgrep());
        } catch {
            return 0;
        }
    };
    const { execFileSync } = await import("node:child_process");
    const execPgrep = () => execFileSync("pgrep", ["--count", "--uid", "erin", "--full", "otp-enroll --dialog"], { encoding: "utf8" });
    assert.ok(running() > 0, "otp-enroll waits for the code");
    await page.context().close();
    for (let at = 0; at < 100 && running() > 0; at += 1) await new Promise((resolve) => setTimeout(resolve, 200));
    assert.equal(running(), 0, "otp-enroll has ended");
    assert.equal(status_of("erin").enrolled, false);
});

tried("phones and the dark look", async () => {
    const page = await window_of(chrome, { viewport: { width: 360, height: 740 }, colorScheme: "dark" });
    const { passcode } = JSON.parse(as_root("admin", "issue", "--json", "bob"));
    const mine = await session(page, "bob", { code: passcode });
    await mine.getByRole("table", { name: "Devices" }).waitFor();
    assert.ok(await mine.evaluate(() => document.documentElement.classList.contains("pf-v6-theme-dark")));
    assert.ok(await mine.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth), "nothing is wider than the screen");
    assert.deepEqual(await violations(mine), []);
    await picture(page, "cockpit-phone");
});
