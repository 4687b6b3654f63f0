// An administrator and everybody's second factor.

import assert from "node:assert/strict";
import { after, before } from "node:test";
import { answer, as_root, browser, log_in, next_code, ours, picture, quiet, session, status_of, tried, violations, window_of, with_access, with_files, wrong_code } from "./person.mjs";

const CONFIGURATION = "/etc/pam_otp/pam_otp.toml";

let chrome, page, frame;
before(async () => {
    chrome = await browser();
    page = await window_of(chrome);
    await session(page, "dana", { code: next_code("dana") });
    frame = await with_access(page);
});
after(() => chrome.close());

const dialog = () => frame.getByRole("dialog");
const part = (name) => frame.getByRole("navigation", { name: "Parts" }).getByRole("link", { name }).click();
const users = () => frame.getByRole("table", { name: "Users" });

async function find(name) {
    await part("Users");
    const field = frame.getByLabel("Name");
    await field.fill(name);
}

tried("a user without administrative access sees their own second factor alone", async () => {
    const other = await window_of(chrome);
    const theirs = await session(other, "judy", { code: next_code("judy") });
    assert.equal(await theirs.getByRole("navigation", { name: "Parts" }).count(), 0);
    await other.goto("http://127.0.0.1:9090/pam-otp#/users");
    const users = await ours(other);
    await users.getByText("Administrative access is needed for this").waitFor();
});

tried("all users are listed, found by name and by what they have", async () => {
    await part("Users");
    await frame.getByText(/^10,0\d\d users$/).waitFor({ timeout: 60_000 });
    assert.equal(await users().getByRole("row").count(), 51, "a page of them");
    assert.deepEqual(await violations(frame), []);
    await picture(page, "cockpit-users");
    await frame.getByRole("button", { name: "Next page" }).click();
    await frame.getByText(/^Page 2 of/).waitFor();
    await find("judy");
    await frame.getByText(/^1 of 10,0\d\d users$/).waitFor();
    await users().getByRole("row", { name: /judy/ }).getByText("TOTP").waitFor();
    await frame.getByLabel("Show").selectOption("without");
    await frame.getByText(/^0 of/).waitFor();
    await frame.getByLabel("Show").selectOption("all");
});

tried("names that mean harm are text", async () => {
    await find("<img");
    await users().getByText("<img src=x onerror=alert(1)>").waitFor();
    assert.equal(await frame.locator("td img").count(), 0);
    await users().getByRole("button", { name: "<img" }).click();
    await frame.getByRole("heading", { level: 2, name: "<img src=x onerror=alert(1)>" }).waitFor();
    await frame.getByText("No device is set up.").waitFor();
    await find("\u202e");
    const row = users().getByRole("row", { name: /eci/ });
    await row.waitFor();
    assert.equal(await row.locator("bdi").count(), 1, "it does not turn what stands beside it");
    // A name that ends in another one's, for an address.
    await find("carol#1");
    await users().getByRole("button", { name: "carol#1" }).click();
    await frame.getByRole("heading", { level: 2, name: "carol#1" }).waitFor();
    await frame.getByText("No device is set up.").waitFor();
    await find("🔑");
    await users().getByText("🔑 key").waitFor();
    await find("$(");
    await users().getByRole("button", { name: "$(reboot) & co" }).click();
    await frame.getByRole("heading", { level: 2, name: "$(reboot) & co" }).waitFor();
    await frame.getByRole("button", { name: "Exempt", exact: true }).click();
    await dialog().getByRole("button", { name: "Exempt" }).click();
    await dialog().getByText("1 record was changed").waitFor();
    await dialog().getByRole("button", { name: "Close" }).last().click();
    await frame.getByText("exempt without a device").waitFor();
    quiet(page);
});

tried("orders about one user: what they mean, and that they are done", async () => {
    await find("judy");
    await users().getByRole("button", { name: "judy" }).click();
    await frame.getByRole("heading", { level: 2, name: "judy" }).waitFor();
    assert.deepEqual(await violations(frame), []);

    const give = async (button, meaning, facts) => {
        await frame.getByRole("button", { name: button, exact: true }).click();
        await dialog().getByText(meaning).waitFor();
        await dialog().getByRole("button", { name: button, exact: true }).click();
        await dialog().getByRole("button", { name: "Close" }).last().click();
        facts(status_of("judy"));
    };
    await give("Require", /cannot log in then/, ({ override }) => assert.equal(override, "required"));
    await give("Require enrollment", /enrolls one during the next login/, ({ override }) => assert.equal(override, "enroll"));
    await give("Remove override", /rules of the policy decide/, ({ override }) => assert.equal(override, "none"));

    await frame.getByRole("button", { name: "Issue a passcode" }).click();
    await dialog().getByLabel("Good for").selectOption("30m");
    await dialog().getByLabel("Service").fill("no-such-service");
    await dialog().getByRole("button", { name: "Issue" }).click();
    await dialog().getByRole("alert").waitFor();
    await dialog().getByLabel("Service").fill("cockpit");
    await dialog().getByRole("button", { name: "Issue" }).click();
    await dialog().getByText("It is not shown again.").waitFor();
    await picture(page, "cockpit-passcode");
    const passcode = (await dialog().locator("code").textContent()).trim();
    await dialog().getByRole("button", { name: "Done" }).click();
    assert.ok(!(await frame.content()).includes(passcode), "the passcode is gone from the page");

    // It lets in once.
    const other = await window_of(chrome);
    await session(other, "judy", { code: passcode });
    await other.context().close();
    assert.equal(status_of("judy").passcode.used, true);

    // Locked, and unlocked.
    const guess = await window_of(chrome);
    for (let at = 0; at < 6; at += 1) {
        await log_in(guess, "judy");
        await answer(guess, wrong_code("judy"));
        await guess.getByText(/Wrong user name or password|Authentication failed/).waitFor();
    }
    await guess.context().close();
    await find("judy");
    await frame.getByRole("button", { name: "Read again" }).click();
    await users().getByText(/^Locked until/).waitFor();
    await users().getByRole("button", { name: "judy" }).click();
    await frame.getByRole("table", { name: "Refusals" }).getByText("The code was wrong.").first().waitFor();
    await give("Unlock", /accepted again/, ({ lock }) => assert.equal(lock, "open"));
    await give("Reset", /can enroll again/, ({ enrolled }) => assert.equal(enrolled, false));
    quiet(page);
});

tried("many users at once, with progress", async () => {
    await find("u0");
    await frame.getByText(/^1,200 of 10,0\d\d users$/).waitFor();
    await frame.getByRole("button", { name: "Choose all 1,200" }).click();
    await frame.getByRole("button", { name: "Exempt", exact: true }).click();
    await dialog().getByText(/and 119\d more/).waitFor();
    await dialog().getByText("1,200 of them have no device").waitFor({ state: "detached" });
    await dialog().getByLabel("Until").fill("2031-01-31");
    await dialog().getByRole("button", { name: "Exempt" }).click();
    await dialog().getByRole("progressbar").waitFor();
    await dialog().getByText(/ 1,20\d records were changed$/).waitFor({ timeout: 120_000 });
    assert.deepEqual(await violations(frame), []);
    await dialog().getByRole("button", { name: "Close" }).last().click();
    assert.equal(status_of("u00001").override_until, "2031-01-31T00:00:00Z");
});

tried("an order about many says whom it would lock out, and about whom it was not done", async () => {
    await find("u0000");
    await frame.getByText(/^9 of 10,0\d\d users$/).waitFor();
    await frame.getByRole("button", { name: "Choose all 9" }).click();
    await frame.getByRole("button", { name: "Require", exact: true }).click();
    await dialog().getByText("9 of them have no device").waitFor();
    await dialog().getByRole("button", { name: "Cancel" }).click();
    await frame.getByText("9 users are chosen:").waitFor();

    // One of them is gone meanwhile.
    await with_files({ "/etc/passwd": (text) => text.replace(/^u00005:.*\n/m, "") }, async () => {
        await frame.getByRole("button", { name: "Remove override", exact: true }).click();
        await dialog().getByRole("button", { name: "Remove override", exact: true }).click();
        await dialog().getByText("8 records were changed").waitFor();
        await dialog().getByText(/u00005/).last().waitFor();
        await dialog().getByRole("button", { name: "Close" }).last().click();
    });
    assert.equal(status_of("u00009").override, "none");
});

tried("the policy is explained", async () => {
    await part("Policy");
    await frame.getByLabel("User").fill("alice");
    await frame.getByLabel("Service").fill("cockpit");
    await frame.getByLabel("Address").fill("192.0.2.7");
    await frame.getByRole("button", { name: "Explain" }).click();
    await frame.getByText("The user is asked for a code.").waitFor();
    await frame.getByText(/The default of the policy/).waitFor();
    assert.deepEqual(await violations(frame), []);
    await picture(page, "cockpit-policy");
    await frame.getByLabel("User").fill("nobody-of-that-name");
    await frame.getByRole("button", { name: "Explain" }).click();
    await frame.getByRole("alert").waitFor();
});

tried("doctor's findings have their fixes", async () => {
    await with_files({ [CONFIGURATION]: (text) => `${text}\nno_such_key = 1\n` }, async () => {
        await part("Doctor");
        await frame.getByText(/no_such_key/).first().waitFor({ timeout: 60_000 });
        assert.deepEqual(await violations(frame), []);
        await picture(page, "cockpit-doctor");
    });
    await frame.getByRole("button", { name: "Examine again" }).click();
    await frame.getByText(/no_such_key/).first().waitFor({ state: "detached", timeout: 60_000 });
    await frame.getByText(/Services that ask for codes: .*cockpit/).waitFor();
});

tried("the refusals of the last day, with reasons", async () => {
    await part("Refusals");
    const table = frame.getByRole("table", { name: "Refusals" });
    await table.getByRole("row", { name: /judy.*The code was wrong/ }).first().waitFor();
    assert.deepEqual(await violations(frame), []);
    await picture(page, "cockpit-refusals");
});

tried("a rollout is reported", async () => {
    await with_files({ [CONFIGURATION]: (text) => text.replace(/^#?enforce = .*$/m, "enforce = false") }, async () => {
        const other = await window_of(chrome);
        await log_in(other, "alice");
        await answer(other, "000000");
        await ours(other);
        await other.context().close();
        await part("Rollout");
        await frame.getByRole("table", { name: "Logins that would have been refused" }).getByText("alice").waitFor({ timeout: 60_000 });
        await frame.getByRole("table", { name: "Users without a device" }).waitFor();
        assert.deepEqual(await violations(frame), []);
        await picture(page, "cockpit-rollout");
    });
});

tried("the page complains of nothing, and its policy forbids what it does not need", async () => {
    quiet(page);
    const policy = await page.context().request.get("http://127.0.0.1:9090/cockpit/@localhost/pam-otp/index.html");
    const header = policy.headers()["content-security-policy"];
    assert.match(header, /default-src 'none'/);
    assert.doesNotMatch(header, /unsafe-inline|unsafe-eval/);
});
