// What the page does by itself: frames under a slider, pasting, names for screen readers.

function geodesicToken() {
  // Kept by the browser for this tab alone, so that a page which is reloaded finds its job again.
  let token = sessionStorage.getItem("geodesic-token");
  if (!token) {
    const bytes = crypto.getRandomValues(new Uint8Array(24));
    token = Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
    sessionStorage.setItem("geodesic-token", token);
  }
  return token;
}

function geodesicFrame(range) {
  const viewer = range.closest(".viewer");
  const buttons = viewer.querySelectorAll(".strip button");
  const chosen = buttons[range.value];
  const caption = chosen.querySelector("img").alt;
  const own = viewer.querySelector(".own");
  own.src = chosen.querySelector("img").src;
  own.alt = own.alt.split(",")[0] + ", " + caption;
  if (chosen.dataset.other) {
    viewer.querySelector(".other").src = viewer.querySelectorAll(".others img")[chosen.dataset.other].src;
  }
  range.setAttribute("aria-valuetext", caption);
  viewer.querySelector("output").textContent = caption;
  buttons.forEach((b) => b.removeAttribute("aria-current"));
  chosen.setAttribute("aria-current", "true");
}

function geodesicSplit(range) {
  range.closest(".viewer").querySelector(".stage").style.setProperty("--split", range.value + "%");
}

function geodesicPick(button) {
  const strip = [...button.parentElement.children];
  const range = button.closest(".viewer").querySelector("input[type=range]");
  range.value = strip.indexOf(button);
  geodesicFrame(range);
}

document.addEventListener("paste", (event) => {
  const files = [...event.clipboardData.files].filter((f) => f.type.startsWith("image/"));
  const input = document.querySelector("#drop input[type=file]");
  if (!files.length || !input) return;
  const bag = new DataTransfer();
  files.forEach((f) => bag.items.add(f));
  input.files = bag.files;
  input.dispatchEvent(new Event("change", { bubbles: true }));
});

function geodesicNames() {
  const words = { up: "Move up picture ", down: "Move down picture ", remove: "Remove picture " };
  for (const [name, text] of Object.entries(words)) {
    document.querySelectorAll(`button[id^="${name}-"]`).forEach((button) => {
      const label = text + button.id.split("-")[1];
      button.setAttribute("aria-label", label);
      button.title = label;
    });
  }
}
new MutationObserver(geodesicNames).observe(document, { childList: true, subtree: true });
