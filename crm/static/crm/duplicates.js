// On the form of a new account or contact: says what is on file that looks like what is being typed. Without script nothing is missing
// but this early word: the rules refuse what is taken, and the search finds the rest.
const FACTS = { account: ["name", "domain", "city", "country"], contact: ["account", "given_name", "family_name", "email", "phone"] };

document.addEventListener("DOMContentLoaded", () => {
    const found = window.location.pathname.match(/\/crm\/(account|contact)\/add\/$/);
    const form = found && document.getElementById(`${found[1]}_form`);
    if (!form) return;
    const address = window.location.pathname.replace(/[^/]+\/add\/$/, `${found[1]}pair/like/`);
    const place = document.createElement("div");
    place.className = "q-like";
    place.setAttribute("aria-live", "polite");
    form.prepend(place);
    let asked = "", waiting = 0;

    async function ask() {
        const typed = new URLSearchParams();
        for (const name of FACTS[found[1]]) typed.set(name, form.elements[name]?.value ?? "");
        const query = typed.toString();
        if (query === asked) return;
        asked = query;
        const answer = await fetch(`${address}?${query}`, { headers: { "X-Requested-With": "fetch" } });
        if (answer.ok && query === asked) place.innerHTML = (await answer.text()).trim();
    }

    form.addEventListener("input", () => {
        clearTimeout(waiting);
        waiting = setTimeout(ask, 400);
    });
    form.addEventListener("change", ask);
});
