// Names for what the theme and its fields leave nameless, for who listens instead of looks.
(() => {
  "use strict";
  const title = () => document.querySelector("h1")?.innerText.trim() || document.title;

  // The theme's own scroll bars name every scrolled part alike.
  const nameRegion = (inside, label) => {
    for (const region of document.querySelectorAll(`${inside} .simplebar-content-wrapper`)) region.setAttribute("aria-label", label);
  };

  const labelOf = (field) =>
    (field?.id && document.querySelector(`label[for="${field.id}"]`)) || field?.closest("#changelist-filter .flex-col")?.querySelector("label, h3");

  // A field that searches while one types is drawn beside its list, which alone has a label.
  const nameField = (field) => {
    const list = field.closest(".select2-container")?.previousElementSibling;
    const label = labelOf(list);
    if (!label || field.dataset.named) return;
    label.id ||= `${list.id || list.name}-label`;
    field.dataset.named = "yes";
    field.querySelector("[role=textbox]")?.setAttribute("aria-labelledby", label.id);
    field.setAttribute("aria-labelledby", `${label.id} ${field.getAttribute("aria-labelledby") || ""}`.trim());
  };
  const nameFields = () => document.querySelectorAll(".select2-selection[role=combobox]").forEach(nameField);

  // The dots beside a field that lead to the record it names: the theme draws them for the mouse alone.
  const press = (event) => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    event.currentTarget.click();
  };
  const reach = (dots) => {
    dots.setAttribute("role", "button");
    dots.setAttribute("aria-label", `${labelOf(dots.parentElement.querySelector("select, input"))?.innerText.trim() || title()} …`);
    dots.tabIndex = 0;
    dots.addEventListener("keydown", press);
  };

  const nameAll = () => {
    nameRegion("#changelist-form", title());
    nameRegion("#changelist-filter", document.querySelector("#changelist [aria-controls=changelist-filter]")?.innerText.split("\n")[0] || "Filters");
    nameFields();
    document.querySelectorAll("[x-on\\:click^='openRelatedWidgetWrapper']").forEach(reach);
    // A sign with a name of its own is a picture.
    for (const sign of document.querySelectorAll("span.help-tooltip[aria-label]")) sign.setAttribute("role", "img");
  };
  // After the fields' own scripts, which draw as the page has loaded, too.
  window.addEventListener("load", () => setTimeout(nameAll));
  document.addEventListener("formset:added", () => setTimeout(nameFields));
})();
