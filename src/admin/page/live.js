// Brings the parts of a page that change by themselves up to date, and copies what is shown once. Without this script a
// reload does the first, and marking the text the second.
"use strict";
(() => {
  const live = () => document.querySelectorAll("[data-live]");

  // A part with which the person is busy stays as it is.
  const isInUse = (part) => part.contains(document.activeElement) || part.querySelector("details[open]");

  // Each form has another name at each look, by which the server knows one that is sent twice.
  const words = (part) => part.innerHTML.replace(/name="once" value="[^"]*"/g, "");

  async function bring() {
    const answer = await fetch(location.href, { headers: { "X-By-Itself": "1" }, credentials: "same-origin" });
    if (answer.status === 403) return location.reload();
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of live()) {
      const next = fresh.getElementById(part.id);
      if (next && !isInUse(part) && words(part) !== words(next)) part.replaceWith(next);
    }
  }

  async function again() {
    if (!document.hidden) await bring().catch(() => {});
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
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(shown.value ?? shown.textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = shown.dataset.copy; }, 3000);
    });
    shown.after(button);
  }

  if (navigator.clipboard) document.querySelectorAll("[data-copy]").forEach(offerToCopy);
  plan();
})();
