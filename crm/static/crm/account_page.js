// People are dragged between seats by the mouse; each card's own form does the same without, and is what a drop sends.
(() => {
    "use strict";
    let held = null;

    const seatOf = (target) => target.closest?.("#dmu-map [data-role]");
    const clearMarks = () => document.querySelectorAll(".q-over").forEach((seat) => seat.classList.remove("q-over"));

    document.addEventListener("dragstart", (event) => {
        const card = event.target.closest?.(".q-card[draggable=true]");
        if (!card) return;
        held = card;
        card.classList.add("q-held");
        event.dataTransfer.effectAllowed = "move";
        event.dataTransfer.setData("text/plain", card.dataset.contact);
    });
    document.addEventListener("dragend", () => {
        held?.classList.remove("q-held");
        held = null;
        clearMarks();
    });
    document.addEventListener("dragover", (event) => {
        const seat = held && seatOf(event.target);
        if (!seat || seat === seatOf(held)) return;
        event.preventDefault();
        clearMarks();
        seat.classList.add("q-over");
    });
    document.addEventListener("drop", (event) => {
        const seat = held && seatOf(event.target);
        if (!seat || seat === seatOf(held)) return;
        event.preventDefault();
        const form = held.querySelector(".q-menu form");
        form.elements.role.value = seat.dataset.role;
        form.requestSubmit();
    });

    // One menu at a time; Escape closes it and gives the focus back.
    document.addEventListener("toggle", (event) => {
        if (!event.target.matches?.(".q-menu") || !event.target.open) return;
        document.querySelectorAll(".q-menu[open]").forEach((menu) => { if (menu !== event.target) menu.open = false; });
    }, true);
    document.addEventListener("keydown", (event) => {
        const menu = event.key === "Escape" && document.querySelector(".q-menu[open]");
        if (!menu) return;
        menu.open = false;
        menu.querySelector("summary").focus();
    });
    document.addEventListener("click", (event) => {
        const menu = document.querySelector(".q-menu[open]");
        if (menu && !menu.contains(event.target)) menu.open = false;
    });

    // A part that was replaced takes the focus with it: put it where the work goes on.
    let moved = null;
    document.addEventListener("htmx:beforeRequest", (event) => {
        moved = event.target.elements?.contact?.value ?? null;
    });
    document.addEventListener("htmx:afterSettle", (event) => {
        if (!event.target.matches?.("#dmu-map") && !document.querySelector("#dmu-map")?.contains(event.target)) return;
        const grip = moved && document.querySelector(`.q-card[data-contact="${CSS.escape(moved)}"] .q-grip`);
        (grip || document.querySelector("#dmu-undo"))?.focus({preventScroll: true});
        moved = null;
    });

    // "Log something with ..." opens the form in place, filled in.
    document.addEventListener("click", (event) => {
        const link = event.target.closest?.("[data-log]"), log = document.querySelector("#log");
        if (!link || !log) return;
        event.preventDefault();
        log.open = true;
        const who = log.querySelector("[name=contact]");
        if (who) who.value = link.dataset.log;
        log.scrollIntoView({block: "center"});
        log.querySelector("[name=subject]")?.focus({preventScroll: true});
    });
})();
