// Ticks the usual columns, all or none with one click; without script each column has its own box.
document.addEventListener("DOMContentLoaded", () => {
    for (const set of document.querySelectorAll("[data-columns]")) {
        const boxes = [...set.querySelectorAll("input[type=checkbox]")];
        const buttons = set.querySelector("[data-column-buttons]");
        buttons.hidden = false;
        buttons.addEventListener("click", (event) => {
            const wanted = event.target.dataset.tick;
            if (!wanted) return;
            for (const box of boxes) box.checked = wanted === "all" || (wanted === "usual" && box.dataset.usual === "yes");
        });
    }
});
