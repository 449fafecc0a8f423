// Brings the parts of a page that change by themselves up to date, and copies what is shown once. Without this script a
// reload does the first, and marking the text the second.
"use strict";
(() => {
  const live = () => document.querySelectorAll("[data-live]");

  // A part with which the person is busy stays as it is.
  const isInUse = (part) => part.contains(document.activeElement) || part.querySelector("details[open]") || isFilled(part);
  const isFilled = (part) => [...part.querySelectorAll("input:not([type=hidden]), textarea, select")].some((field) =>
    field.options ? field.selectedIndex !== Math.max(0, [...field.options].findIndex((option) => option.defaultSelected))
      : field.value !== field.defaultValue || field.checked !== field.defaultChecked);

  // Each form has another name at each look, by which the server knows one that is sent twice.
  const words = (part) => part.innerHTML.replace(/name="once" value="[^"]*"/g, "");

  // The part itself stays: a reader for the blind tells what changes in a part that it knows.
  function renew(part, next) {
    if (words(part) !== words(next)) part.replaceChildren(...next.childNodes);
    if (!next.dataset.live) part.removeAttribute("data-live");
  }

  async function bring() {
    const answer = await fetch(location.href, {
      headers: { "X-By-Itself": "1" }, credentials: "same-origin", signal: AbortSignal.timeout(10000),
    });
    if (answer.status === 403) return location.reload();
    if (!answer.ok) throw new Error(answer.statusText);
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    // The session has ended, and the page says how to come in again.
    if (!fresh.querySelector("form.leave")) return location.reload();
    document.title = fresh.title;
    for (const part of live()) {
      const next = fresh.getElementById(part.id);
      if (next && !isInUse(part)) renew(part, next);
    }
  }

  let failures = 0;
  let broughtAt = new Date();

  function isBrought() {
    failures = 0;
    broughtAt = new Date();
    document.getElementById("behind")?.remove();
  }

  // One failure may be that of a restart.
  function isNotBrought() {
    failures += 1;
    if (failures < 2 || document.getElementById("behind")) return;
    const notice = document.createElement("p");
    notice.id = "behind";
    notice.className = "notice";
    notice.setAttribute("role", "status");
    document.getElementById("main").prepend(notice);
    const at = broughtAt.toLocaleTimeString("en", { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
    notice.textContent = `Not up to date since ${at}: the mail proxy does not answer.`;
  }

  async function look() {
    if (!document.hidden && live().length) await bring().then(isBrought, isNotBrought);
  }

  async function again() {
    await look();
    plan();
  }

  function plan() {
    const seconds = Math.min(...[...live()].map((part) => Number(part.dataset.live) || 15));
    if (Number.isFinite(seconds)) setTimeout(again, seconds * 1000);
  }

  // A second click would only wait for the first one's answer; the page that comes back by the browser's button is new.
  function sendOnce(event) {
    const form = event.target;
    if (form.method !== "post") return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "1";
  }
  addEventListener("submit", sendOnce);
  addEventListener("pageshow", () => document.querySelectorAll("[data-sent]").forEach((form) => delete form.dataset.sent));

  // Browsers let a page copy only over https, and on this machine.
  function offerToCopy(shown) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "small copy";
    button.textContent = shown.dataset.copy;
    const told = document.createElement("span");
    told.className = "skip";
    told.setAttribute("role", "status");
    button.addEventListener("click", async () => {
      const copied = navigator.clipboard.writeText(shown.value ?? shown.textContent);
      button.textContent = told.textContent = await copied.then(() => "Copied", () => "Not copied");
      setTimeout(() => { button.textContent = shown.dataset.copy; told.textContent = ""; }, 3000);
    });
    shown.after(button, told);
  }

  // What the last act has led to is where a keyboard and a reader for the blind begin.
  const said = document.querySelector("#main > .said");
  if (said) {
    said.tabIndex = -1;
    said.focus();
  }
  if (navigator.clipboard) document.querySelectorAll("[data-copy]").forEach(offerToCopy);
  document.addEventListener("visibilitychange", look);
  plan();
})();
