// The board: a card moves by mouse, by keyboard or by its menu; what the server answers is what stands there afterwards.
(() => {
    const board = document.getElementById("board");
    const said = document.getElementById("board-said");
    const dialog = document.getElementById("board-dialog");
    const content = dialog.querySelector("[data-content]");
    let dragged = null;
    let isSending = false;
    let lane = (location.hash.match(/^#lane-(\w+)$/) || [])[1] || "";

    // --- what is on the screen ---

    function dress() {
        for (const card of board.querySelectorAll("[data-moves]")) card.draggable = true;
        const lanes = [...board.querySelectorAll(".q-lane")];
        lane = lanes.some((one) => one.dataset.stage === lane) ? lane : (lanes.find((one) => one.querySelector(".q-card")) || lanes[0]).dataset.stage;
        board.classList.add("q-one");
        show(lane);
        rove(board.querySelector(".q-card"));
    }

    function show(stage) {
        lane = stage;
        for (const one of board.querySelectorAll(".q-lane")) one.classList.toggle("q-shown", one.dataset.stage === stage);
        for (const tab of board.querySelectorAll("[data-tab]")) {
            if (tab.dataset.tab === stage) tab.setAttribute("aria-current", "true");
            else tab.removeAttribute("aria-current");
        }
    }

    // One card is in the tab order; the arrow keys take the others.
    function rove(card) {
        if (!card) return;
        for (const part of board.querySelectorAll(".q-card-name, .q-menu > summary")) part.tabIndex = card.contains(part) ? 0 : -1;
    }

    function visit(card) {
        if (!card) return;
        const fold = card.closest(".q-fold");
        if (fold) fold.open = true;
        rove(card);
        card.querySelector(".q-card-name").focus();
    }

    // --- moving ---

    function seen() {
        const folds = [...board.querySelectorAll(".q-fold[open]")].map((fold) => fold.closest(".q-lane").id);
        return { folds, page: [scrollX, scrollY] };
    }

    function replace(html, card) {
        const before = seen();
        board.innerHTML = html;
        dress();
        for (const id of before.folds) {
            const fold = document.querySelector(`#${id} .q-fold`);
            if (fold) fold.open = true;
        }
        scrollTo(...before.page);
        return document.getElementById(card);
    }

    async function send(url, data, card) {
        if (isSending) return;
        isSending = true;
        said.textContent = board.dataset.moving;
        card?.classList.add("q-waits");
        let answer = null;
        try {
            const reply = await fetch(url, { method: "POST", headers: { Accept: "application/json" }, body: data });
            if (reply.ok) answer = await reply.json();
        } catch {
            answer = null;
        }
        isSending = false;
        if (answer) settle(answer, card);
        else fail(card);
    }

    function settle(answer, card) {
        const moved = replace(answer.board, card?.id);
        said.textContent = answer.said;
        if (answer.dialog) {
            ask(answer.dialog, card?.id);
            return;
        }
        if (dialog.open) dialog.close();
        visit(moved || board.querySelector(".q-card"));
    }

    function fail(card) {
        if (dialog.open) dialog.close();
        if (home && card) home.before ? home.list.insertBefore(card, home.before) : home.list.append(card);
        card?.classList.remove("q-waits");
        said.textContent = board.dataset.failed;
        visit(card);
    }

    let home = null;

    function move(card, to) {
        const form = card.querySelector(".q-menu form");
        if (!form || !to || to === card.dataset.stage) return;
        const data = new FormData(form);
        data.set("to", to);
        home = { list: card.parentElement, before: card.nextElementSibling };
        board.querySelector(`#lane-${to} ol`)?.prepend(card);
        send(form.action, data, card);
    }

    // --- the dialog ---

    function ask(html, card) {
        content.innerHTML = html;
        dialog.dataset.card = card || "";
        if (!dialog.open) dialog.showModal();
        (content.querySelector("textarea, select, input:not([type=hidden])") || content.querySelector("a.q-primary, button"))?.focus();
    }

    dialog.addEventListener("click", (event) => {
        const closing = event.target === dialog || event.target.closest("[data-close]");
        if (!closing) return;
        event.preventDefault();
        dialog.close();
    });

    dialog.addEventListener("close", () => visit(document.getElementById(dialog.dataset.card)));

    document.addEventListener("submit", (event) => {
        const form = event.target;
        if (!form.matches(".q-menu form, #board-dialog form")) return;
        event.preventDefault();
        home = null;
        const card = form.closest(".q-card") || document.getElementById(dialog.dataset.card);
        send(form.action, new FormData(form, event.submitter), card);
    });

    // --- the mouse ---

    board.addEventListener("dragstart", (event) => {
        dragged = event.target.closest?.("[data-moves]");
        if (!dragged || isSending) return event.preventDefault();
        event.dataTransfer.effectAllowed = "move";
        event.dataTransfer.setData("text/plain", dragged.id);
        dragged.classList.add("q-drags");
    });

    board.addEventListener("dragover", (event) => {
        const over = event.target.closest(".q-lane");
        if (!dragged || !over) return;
        event.preventDefault();
        for (const one of board.querySelectorAll(".q-over")) if (one !== over) one.classList.remove("q-over");
        if (over.dataset.stage !== dragged.dataset.stage) over.classList.add("q-over");
    });

    board.addEventListener("drop", (event) => {
        const over = event.target.closest(".q-lane");
        if (!dragged || !over) return;
        event.preventDefault();
        const card = dragged;
        forget();
        move(card, over.dataset.stage);
    });

    board.addEventListener("dragend", forget);

    function forget() {
        dragged?.classList.remove("q-drags");
        dragged = null;
        for (const one of board.querySelectorAll(".q-over")) one.classList.remove("q-over");
    }

    // --- the keyboard and the tabs ---

    function beside(card, step) {
        const lanes = [...board.querySelectorAll(".q-lane")].filter((one) => one.querySelector(".q-card"));
        const here = lanes.indexOf(card.closest(".q-lane"));
        const row = [...card.parentElement.children].indexOf(card);
        const cards = lanes[here + step]?.querySelectorAll(".q-card");
        return cards && cards[Math.min(row, cards.length - 1)];
    }

    const KEYS = {
        ArrowDown: (card) => visit(card.nextElementSibling),
        ArrowUp: (card) => visit(card.previousElementSibling),
        ArrowRight: (card, event) => (event.shiftKey ? move(card, card.dataset.next) : visit(beside(card, 1))),
        ArrowLeft: (card) => visit(beside(card, -1)),
        m: (card) => open(card),
    };

    function open(card) {
        const menu = card.querySelector(".q-menu");
        if (!menu) return;
        menu.open = true;
        menu.querySelector("button").focus();
    }

    board.addEventListener("keydown", (event) => {
        const card = event.target.closest(".q-card");
        const menu = event.target.closest(".q-menu[open]");
        if (event.key === "Escape" && menu) {
            menu.open = false;
            menu.querySelector("summary").focus();
            return;
        }
        if (menu && ["ArrowDown", "ArrowUp"].includes(event.key)) {
            event.preventDefault();
            const items = [...menu.querySelectorAll("summary, button")];
            const turn = event.key === "ArrowDown" ? 1 : items.length - 1;
            items[(items.indexOf(event.target) + turn) % items.length].focus();
            return;
        }
        const key = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
        if (!card || menu || !key || event.ctrlKey || event.metaKey || event.altKey) return;
        event.preventDefault();
        key(card, event);
    });

    board.addEventListener("focusin", (event) => rove(event.target.closest(".q-card")));

    document.addEventListener("click", (event) => {
        for (const menu of board.querySelectorAll(".q-menu[open]")) if (!menu.contains(event.target)) menu.open = false;
        const tab = event.target.closest("[data-tab]");
        if (!tab) return;
        event.preventDefault();
        show(tab.dataset.tab);
    });

    dress();
})();
