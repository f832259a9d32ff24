// Takes a file that is dragged onto the form, and says at once when it is too large; without script one chooses it.
document.addEventListener("DOMContentLoaded", () => {
    for (const zone of document.querySelectorAll("[data-drop]")) {
        const input = zone.querySelector("input[type=file]");
        const said = zone.querySelector("[data-drop-said]");
        zone.querySelector("[data-drop-hint]").hidden = false;

        const judge = () => {
            const file = input.files[0];
            const isTooLarge = Boolean(file) && file.size > Number(zone.dataset.most);
            input.setCustomValidity(isTooLarge ? zone.dataset.tooLarge : "");
            said.classList.toggle("q-down", isTooLarge);
            said.textContent = !file ? "" : isTooLarge ? zone.dataset.tooLarge : `${file.name} (${size(file.size)})`;
            if (isTooLarge) input.value = "";
        };
        const over = (isOver) => (event) => {
            event.preventDefault();
            zone.classList.toggle("q-over", isOver);
        };
        input.addEventListener("change", judge);
        zone.addEventListener("dragover", over(true));
        zone.addEventListener("dragleave", over(false));
        zone.addEventListener("drop", (event) => {
            over(false)(event);
            if (!event.dataTransfer.files.length) return;
            input.files = event.dataTransfer.files;
            judge();
        });
    }
    // A file that misses the zone would replace the page.
    for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());
});

function size(bytes) {
    const unit = bytes < 1048576 ? ["kilobyte", 1024] : ["megabyte", 1048576];
    const shown = new Intl.NumberFormat(document.documentElement.lang, { style: "unit", unit: unit[0], maximumFractionDigits: 1 });
    return shown.format(bytes / unit[1]);
}
