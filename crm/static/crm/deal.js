// The page of a deal: a link to a form opens it and goes to its first field; a refusal is read out and seen at once.
(() => {
    const FIELDS = "select, textarea, input:not([type=hidden])";

    function reveal(form) {
        const spot = form.closest("details");
        if (spot) spot.open = true;
        const field = form.matches(FIELDS) ? form : form.querySelector(FIELDS) || form;
        form.scrollIntoView({ block: "center" });
        field.focus();
    }

    function target(link) {
        const [page, name] = link.href.split("#");
        return name && page === location.href.split("#")[0] ? document.getElementById(name) : null;
    }

    document.addEventListener("click", (event) => {
        const link = event.target.closest(".q-page a[href*='#']");
        const form = link && target(link);
        if (!form) return;
        event.preventDefault();
        reveal(form);
    });

    document.addEventListener("keydown", (event) => {
        const spot = event.key === "Escape" && event.target.closest(".q-spot[open]");
        if (!spot) return;
        spot.open = false;
        spot.querySelector("summary").focus();
    });

    document.addEventListener("toggle", (event) => {
        const spot = event.target;
        if (!spot.matches?.(".q-spot") || !spot.open || spot.contains(document.activeElement) === false) return;
        spot.querySelector(`form :is(${FIELDS})`)?.focus();
    }, true);

    function arrive() {
        const refusal = document.querySelector("[data-refusal]");
        const named = location.hash && document.getElementById(location.hash.slice(1));
        if (refusal) refusal.focus();
        else if (named && named.matches(`.q-small, ${FIELDS}`)) reveal(named);
    }

    // The theme hides the page until its own script has begun, and what is hidden takes no focus.
    document.addEventListener("alpine:initialized", () => setTimeout(arrive, 50));
})();
