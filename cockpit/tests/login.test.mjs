// At Cockpit's own login page, and at its button for administrative access.

import assert from "node:assert/strict";
import { after, before } from "node:test";
import { answer, browser, code_of, log_in, next_code, ours, PASSWORD, picture, session, status_of, tried, window_of, with_files } from "./person.mjs";

const [PAM, SUDO, CONFIGURATION] = ["/etc/pam.d/cockpit", "/etc/pam.d/sudo", "/etc/pam_otp/pam_otp.toml"];

let chrome;
before(async () => {
    chrome = await browser();
});
after(() => chrome.close());

const enrolls = {
    // docs/services/cockpit.md, "Enrollment during the login"
    [PAM]: (text) =>
        text
            .replace("pam_otp.so", "pam_otp.so enroll")
            .replace(/^account/m, "account    required     pam_otp.so\naccount")
            .replace(/^password/m, "password   [success=done ignore=ignore default=die]   pam_otp.so\npassword"),
    [CONFIGURATION]: (text) => text.replace(/^#?second_factor = .*$/m, 'second_factor = "enroll"'),
};

tried("a user without a device enrolls at Cockpit's login page", async () => {
    await with_files(enrolls, async () => {
        const page = await window_of(chrome);
        await log_in(page, "heidi");
        await page.waitForSelector("#conversation-input", { state: "visible", timeout: 30_000 });
        await picture(page, "cockpit-login-enroll");
        const text = await page.locator("body").innerText();
        const key = /([A-Z2-7]{4}(?: [A-Z2-7]{4})+)/.exec(text)?.[1];
        assert.ok(key, text);
        assert.doesNotMatch(text, /QR/, "no picture is offered that the page cannot show");
        await answer(page, code_of(key));
        await page.getByText(/ecovery codes/).first().waitFor();
        await picture(page, "cockpit-login-codes");
        await answer(page, "yes");
        await ours(page);
        assert.equal(status_of("heidi").enrolled, true);
    });
});

tried("administrative access asks for password and code, where sudo does", async () => {
    const asks = { [SUDO]: (text) => text.replace(/^@include common-auth$/m, "@include common-auth\nauth required pam_otp.so") };
    await with_files(asks, async () => {
        const page = await window_of(chrome);
        await session(page, "dana", { code: next_code("dana") });
        const limited = page.getByRole("button", { name: "Limited access" });
        await limited.waitFor();
        await limited.click();
        const box = page.getByRole("dialog");
        await box.locator("input").fill(PASSWORD);
        await box.getByRole("button", { name: "Authenticate" }).click();
        await box.getByText("Verification code").waitFor();
        await picture(page, "cockpit-access");
        await box.locator("input").fill(next_code("dana"));
        await box.getByRole("button", { name: "Authenticate" }).click();
        const frame = await ours(page);
        await frame.getByRole("navigation", { name: "Parts" }).waitFor({ timeout: 30_000 });
    });
});
