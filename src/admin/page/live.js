// Brings the parts of a page that change by themselves up to date. Without this script a reload does the same.
"use strict";
(() => {
  const live = () => document.querySelectorAll("[data-live]");
  if (live().length === 0) return;

  // A part with which the person is busy stays as it is.
  const isInUse = (part) => part.contains(document.activeElement) || part.querySelector("details[open]");

  async function bring() {
    const answer = await fetch(location.href, { headers: { "X-By-Itself": "1" }, credentials: "same-origin" });
    if (answer.status === 403) return location.reload();
    if (!answer.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const part of live()) {
      const next = fresh.getElementById(part.id);
      if (next && !isInUse(part) && part.innerHTML !== next.innerHTML) part.replaceWith(next);
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
  plan();
})();
