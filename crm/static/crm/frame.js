// Names for what the theme and its fields leave nameless, for who listens instead of looks.
(() => {
  "use strict";
  const title = () => document.querySelector("h1")?.innerText.trim() || document.title;

  // The theme's own scroll bars name every scrolled part alike.
  const nameRegion = (inside, label) => {
    for (const region of document.querySelectorAll(`${inside} .simplebar-content-wrapper`)) region.setAttribute("aria-label", label);
  };

  // A field that searches while one types is drawn beside its list, which alone has a label.
  const nameField = (field) => {
    const list = field.closest(".select2-container")?.previousElementSibling;
    const label = list?.id && document.querySelector(`label[for="${list.id}"]`);
    if (!label || field.dataset.named) return;
    label.id ||= `${list.id}-label`;
    field.dataset.named = "yes";
    field.setAttribute("aria-labelledby", `${label.id} ${field.getAttribute("aria-labelledby") || ""}`.trim());
  };
  const nameFields = () => document.querySelectorAll(".select2-selection[role=combobox]").forEach(nameField);

  window.addEventListener("load", () => {
    nameRegion("#changelist-form", title());
    nameRegion("#changelist-filter", document.querySelector("#changelist [aria-controls=changelist-filter]")?.innerText.split("\n")[0] || "Filters");
    nameFields();
  });
  document.addEventListener("formset:added", () => setTimeout(nameFields));
})();
