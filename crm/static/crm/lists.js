// The theme's own scroll bars name every scrolled part alike; who listens should hear which one it is.
const name = (inside, label) => {
    for (const region of document.querySelectorAll(`${inside} .simplebar-content-wrapper`)) {
        region.setAttribute("aria-label", label);
    }
};
const title = () => (document.querySelector("h1") || {}).innerText || document.title;
window.addEventListener("load", () => {
    name("#changelist-form", title());
    name("#changelist-filter", (document.querySelector("#changelist [x-on\\:click*=filterOpen]") || {}).innerText || "Filters");
});
