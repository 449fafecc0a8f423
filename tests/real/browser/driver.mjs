// Chromium, driven line by line: each line of standard input is a JSON object {do, …}, each line of standard output its
// answer, {value} or {error}. The words of the tests are in parts/browser.py.

import { createInterface } from "node:readline";
import { existsSync } from "node:fs";
import axe from "axe-core";
import { chromium } from "playwright-core";

const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--no-proxy-server"];
const PATIENCE = 20000;
const program = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find(existsSync);

const browser = await chromium.launch({ executablePath: program, args: FLAGS, headless: true });
let context, page, complaints;

/** What a person would click: a button or a link with this name. */
const named = (name) => {
  const exact = { name, exact: true };
  return page.getByRole("button", exact).or(page.getByRole("link", exact)).first();
};

const verbs = {
  async open({ javascript = true, width = 1280, height = 800, scheme = "light" }) {
    await context?.close();
    context = await browser.newContext({
      javaScriptEnabled: javascript, viewport: { width, height }, colorScheme: scheme, acceptDownloads: true,
    });
    context.setDefaultTimeout(PATIENCE);
    await context.grantPermissions(["clipboard-read", "clipboard-write"]);
    page = await context.newPage();
    complaints = [];
    page.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
    page.on("pageerror", (error) => complaints.push(String(error)));
  },
  async size({ width, height, scheme }) {
    await page.setViewportSize({ width, height });
    await page.emulateMedia({ colorScheme: scheme });
  },
  async goto({ url }) { return (await page.goto(url))?.status(); },
  async url() { return page.url(); },
  async click({ name }) {
    await named(name).click();
    await page.waitForLoadState("load");
    return page.url();
  },
  async press({ key }) {
    await page.keyboard.press(key);
    await page.waitForLoadState("load");
    return page.url();
  },
  /** Waits until the browser is at this address: a step within a page comes without a load. */
  async arrive({ url }) { await page.waitForURL(url, { timeout: PATIENCE }); },
  async has({ name }) { return await named(name).count() > 0; },
  async unfold({ name }) { await page.locator("summary", { hasText: name }).first().click(); },
  async fill({ label, value }) { await page.getByLabel(label).first().fill(value); },
  async value({ label }) { return page.getByLabel(label).first().inputValue(); },
  async check({ label }) { await page.getByLabel(label).first().check(); },
  async text() { return page.locator("body").innerText(); },
  /** Waits until the page shows this; without scripts it is read again. */
  async wait({ text, again = false }) {
    const end = Date.now() + PATIENCE;
    for (;;) {
      if ((await page.locator("body").innerText()).includes(text)) return;
      if (Date.now() > end) throw new Error(`never shown: ${text}`);
      await new Promise((done) => setTimeout(done, 100));
      if (again) await page.reload();
    }
  },
  /** Chooses a file with this name and content. */
  async upload({ label, name, text }) {
    await page.getByLabel(label).first().setInputFiles({ name, mimeType: "text/csv", buffer: Buffer.from(text) });
  },
  /** As a person who comes back to the window: what is shown is brought up to date at once. */
  async come_back() { await page.evaluate(() => document.dispatchEvent(new Event("visibilitychange"))); },
  async title() { return page.title(); },
  /** What the keyboard and a reader for the blind are at. */
  async focused() { return page.evaluate(() => document.activeElement.innerText); },
  async forget_cookies() { await context.clearCookies(); },
  /** Two clicks on a button, faster than the answer. */
  async click_twice({ name }) {
    await named(name).evaluate((button) => { button.click(); button.click(); });
    await page.waitForLoadState("load");
  },
  async clipboard() { return page.evaluate(() => navigator.clipboard.readText()); },
  /** Further lines in the head of every request, as a web server in front of the page adds them. */
  async headers({ lines }) { await context.setExtraHTTPHeaders(lines); },
  /** The page of a consent stays although it sends the browser on by itself; a link, Follow, leads there from the button. */
  async still() {
    await page.route("**/authorise", async (route) => {
      const { location, ...headers } = (await route.fetch({ maxRedirects: 0 })).headers();
      await route.fulfill({ status: 200, headers: { ...headers, "content-type": "text/html" }, body: `<a href="${location}">Follow</a>` });
    });
    await page.route("**/consent/*", async (route) => {
      const response = await route.fetch();
      const { refresh, ...headers } = response.headers();
      await route.fulfill({ response, headers });
    });
  },
  async of({ selector }) { return page.locator(selector).first().innerText(); },
  async download({ name }) {
    const [file] = await Promise.all([page.waitForEvent("download"), named(name).click()]);
    return file.suggestedFilename();
  },
  /** The violations of WCAG 2.1 AA and of good practice that axe-core finds, and how far the page is too wide. */
  async audit() {
    await page.evaluate(axe.source);
    const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
    const faults = found.violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((n) => n.html).join(" ")}`);
    const beyond = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    if (beyond > 0) faults.push(`the page is ${beyond} px wider than its window`);
    // A cell that is too narrow for its content hides the end of it. The head that a narrow page hides is no fault.
    const cut = await page.evaluate(() => {
      const isHidden = (cell) => getComputedStyle(cell.closest("thead") ?? cell).position === "absolute";
      const cells = [...document.querySelectorAll("td, th")].filter((cell) => !isHidden(cell));
      return cells.filter((cell) => cell.scrollWidth > cell.clientWidth).map((cell) => cell.textContent.trim().slice(0, 60));
    });
    for (const text of cut) faults.push(`a cell is too narrow for: ${text}`);
    return faults;
  },
  async complaints() { return complaints; },
  async picture({ path, whole = false }) { await page.screenshot({ path, animations: "disabled", fullPage: whole }); },
};

for await (const line of createInterface({ input: process.stdin })) {
  let answer;
  try {
    const request = JSON.parse(line);
    answer = { value: (await verbs[request.do](request)) ?? null };
  } catch (error) {
    const shown = await page?.locator("body").innerText({ timeout: 1000 }).catch(() => "");
    answer = { error: `${error.message}\n--- at ${page?.url()}, which shows:\n${shown}` };
  }
  process.stdout.write(JSON.stringify(answer) + "\n");
}
await browser.close();
