// Keyboard shortcuts: single keys never fire while somebody types, and are silent for who switched them off.
(() => {
  "use strict";
  const PATIENCE = 1200; // milliseconds between g and the letter behind it
  const NEIGHBOURS = "quorum-neighbours";
  const SINGLE = new Set(["j", "k", "n", "g", "t", "/", "?"]);
  let waiting = 0;
  let row = -1;

  const sheet = () => document.getElementById("q-keys");
  const isTyping = (element) => element && (element.isContentEditable || element.matches("input:not([type=checkbox]):not([type=radio]), textarea, select"));
  const isCovered = () => document.querySelector("dialog[open], [x-data^=searchCommand]:not([style*='display: none'])");
  const linkOf = (line) => line.querySelector("th a[href], td a[href]");
  const rows = () => [...document.querySelectorAll("#result_list tbody tr")].filter(linkOf);
  const isRecord = () => /\/change\/$/.test(location.pathname);

  const step = (by) => {
    const all = rows();
    if (!all.length) return isRecord() ? neighbour(by) : false;
    all[row]?.classList.remove("q-at");
    row = Math.max(0, Math.min(all.length - 1, row + by));
    all[row].classList.add("q-at");
    linkOf(all[row]).focus();
    all[row].scrollIntoView({ block: "nearest" });
    return true;
  };

  // What a list showed last is the way from record to record, in this tab only.
  const remember = () => {
    const paths = rows().map((line) => new URL(linkOf(line).href).pathname);
    if (paths.length) sessionStorage.setItem(NEIGHBOURS, JSON.stringify(paths));
  };
  const neighbour = (by) => {
    const paths = JSON.parse(sessionStorage.getItem(NEIGHBOURS) || "[]");
    const next = paths[paths.indexOf(location.pathname) + by];
    if (!paths.includes(location.pathname) || !next) return false;
    location.assign(next);
    return true;
  };

  const click = (element) => Boolean(element) && (element.click(), true);
  const goTo = (letter) => click(document.querySelector(`#q-keys [data-go="${letter}"]`));
  const search = () => {
    const field = document.getElementById("searchbar");
    field?.focus();
    field?.select();
    return Boolean(field);
  };
  const open = () => (sheet().showModal(), true);
  const deeds = {
    "?": open,
    j: () => step(1),
    k: () => step(-1),
    "/": search,
    n: () => click(document.querySelector("[data-new], a.addlink, #content a[href$='/add/'], header a[href$='/add/']")),
    g: () => ((waiting = Date.now()), true),
  };

  const isSingle = (event) => !(event.ctrlKey || event.metaKey || event.altKey) && !isTyping(document.activeElement);

  const answer = (event) => {
    const isChord = Date.now() - waiting < PATIENCE;
    waiting = 0;
    return isChord ? goTo(event.key) : deeds[event.key]?.();
  };

  // On the way down to the page, before the theme's own keys hear of it.
  window.addEventListener("keydown", (event) => {
    if (!sheet() || !isSingle(event) || isCovered()) return;
    if (!sheet().dataset.on) {
      if (SINGLE.has(event.key)) event.stopImmediatePropagation();
    } else if (answer(event)) {
      event.preventDefault();
      event.stopImmediatePropagation();
    }
  }, true);

  document.addEventListener("click", (event) => {
    if (event.target.closest?.("[data-keys-open]")) open();
  });
  document.addEventListener("DOMContentLoaded", remember);
})();
