// A number that codes are sent to: a PIN, and codes as proof and at the login.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { after, before } from "node:test";
import { answer, browser, HERE, log_in, ours, quiet, session, status_of, tried, violations, window_of, with_files } from "./person.mjs";

const PAM = "/etc/pam.d/cockpit";

let chrome;
before(async () => {
    chrome = await browser();
});
after(() => chrome.close());

/** The digits that were sent last. */
async function sent(length) {
    for (let at = 0; at < 100; at += 1) {
        try {
            const text = readFileSync(`${HERE}/post/last`, "utf8");
            const found = text.match(/\d[\d ]*\d/g)?.map((digits) => digits.replaceAll(" ", "")).find((digits) => digits.length === length);
            if (found) {
                writeFileSync(`${HERE}/post/last`, "");
                return found;
            }
        } catch {
            // Nothing was sent yet.
        }
        await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error("nothing was sent");
}

tried("a telephone number becomes a device by a PIN, and its codes are proofs", async () => {
    const page = await window_of(chrome);
    const frame = await session(page, "grace");
    const dialog = frame.getByRole("dialog");
    await frame.getByRole("button", { name: "Another kind of device" }).click();
    await dialog.getByLabel("Kind").selectOption("sms");
    await dialog.getByLabel("Name").fill("mobile");
    await dialog.getByLabel("Number").fill("0412 345 678");
    await dialog.getByRole("button", { name: "Continue" }).click();
    await dialog.getByRole("alert").waitFor();
    assert.match(await dialog.getByRole("alert").textContent(), /country code/);
    await dialog.getByRole("button", { name: "Cancel" }).click();

    await frame.getByRole("button", { name: "Another kind of device" }).click();
    await dialog.getByLabel("Kind").selectOption("sms");
    await dialog.getByLabel("Name").fill("mobile");
    await dialog.getByLabel("Number").fill("+61 412 345 678");
    await dialog.getByRole("button", { name: "Continue" }).click();
    await dialog.getByText("the number that ends in 78").waitFor();
    assert.deepEqual(await violations(frame), []);
    const pin = await sent(4);
    const field = dialog.getByLabel("PIN of four digits");
    await field.fill(pin === "0000" ? "0001" : "0000");
    await field.press("Enter");
    await dialog.getByText(/not correct|wrong/i).waitFor();
    await dialog.getByRole("button", { name: "Send another PIN" }).click();
    await dialog.getByText(/can be sent in/).waitFor();
    await field.fill(pin);
    await field.press("Enter");
    await dialog.getByRole("list", { name: "Recovery codes" }).waitFor();
    await dialog.getByLabel("I have them in a safe place").check();
    await dialog.getByRole("button", { name: "Done" }).click();
    await frame.getByText("text message to the number that ends in 78").waitFor();
    assert.equal(status_of("grace").devices[0].type, "sms");

    // Messages to a user are 30 seconds apart.
    await new Promise((resolve) => setTimeout(resolve, 31_000));
    await frame.getByRole("button", { name: "Rename mobile" }).click();
    await dialog.getByLabel("New name").fill("pocket");
    await dialog.getByRole("button", { name: "Rename" }).click();
    await dialog.getByText("A code was sent to the number that ends in 78").waitFor();
    await dialog.getByLabel("Current code, or a recovery code").fill(await sent(7));
    await frame.page().keyboard.press("Enter");
    await frame.getByRole("table", { name: "Devices" }).locator("bdi").getByText("pocket").waitFor();
    quiet(page);
});

tried("a code is sent at Cockpit's login, where its line says so", async () => {
    await with_files({ [PAM]: (text) => text.replace("pam_otp.so", "pam_otp.so send") }, async () => {
        await new Promise((resolve) => setTimeout(resolve, 31_000));
        const page = await window_of(chrome);
        await log_in(page, "grace");
        await page.getByText("A code was sent to the number that ends in 78").waitFor({ timeout: 30_000 });
        await answer(page, await sent(7));
        await ours(page);
    });
});
