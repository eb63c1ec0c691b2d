"use strict";
(() => {
  const root = document.documentElement;
  const theme = document.getElementById("theme");
  const dark = () =>
    root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  const name = () => { theme.textContent = dark() ? "Light page" : "Dark page"; };
  theme.hidden = false;
  name();
  theme.addEventListener("click", () => { root.dataset.theme = dark() ? "light" : "dark"; name(); });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", name);

  // On paper nothing is folded away.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const one of opened) one.open = true;
  });
  addEventListener("afterprint", () => { for (const one of opened) one.open = false; });

  const form = document.getElementById("filters");
  if (!form) return;
  const STEP = 10, MORE = 20;
  const cards = [...document.querySelectorAll("#cards > li")];
  const status = document.getElementById("shown"), more = document.getElementById("more");
  const count = (number) => number.toLocaleString("en");
  let room = STEP;
  const show = () => {
    const wanted = [...form.elements].filter((one) => one.localName === "select" && one.value !== "");
    const fits = (card) => wanted.every((one) =>
      (card.getAttribute("data-" + one.name) || "").split(" ").includes(one.value));
    const fitting = cards.filter(fits);
    const seen = new Set(fitting.slice(0, room));
    for (const card of cards) card.hidden = !seen.has(card);
    const all = Number(status.dataset.all);
    status.textContent = `${count(seen.size)} shown of ${count(fitting.length)} that fit; ` +
      (cards.length < all
        ? `${count(cards.length)} of ${count(all)} changed answers are listed, spread evenly over the directions.`
        : `${count(all)} answers changed.`);
    const left = fitting.length - seen.size;
    more.hidden = left === 0;
    more.textContent = `Show ${count(Math.min(MORE, left))} more`;
  };
  form.hidden = false;
  form.addEventListener("change", () => { room = STEP; show(); });
  form.addEventListener("reset", () => { room = STEP; setTimeout(show); });
  form.addEventListener("submit", (event) => event.preventDefault());
  more.addEventListener("click", () => {
    const next = cards.findIndex((card, place) => place > cards.findLastIndex((one) => !one.hidden));
    room += MORE;
    show();
    const first = cards[next];
    if (first && !first.hidden) { first.tabIndex = -1; first.focus({ preventScroll: true }); }
  });
  show();
})();
