// All that the console needs a script for: buttons that copy. Without it, they are not shown.
"use strict";

for (const button of document.querySelectorAll("button[data-copies]")) {
    const source = document.getElementById(button.dataset.copies);
    const status = document.getElementById(button.getAttribute("aria-describedby"));
    button.hidden = false;
    button.addEventListener("click", async () => {
        try {
            await navigator.clipboard.writeText(source.textContent);
            status.textContent = "Copied.";
        } catch {
            // Browsers let pages copy over TLS and on this machine alone. What is selected can be copied by hand.
            getSelection().selectAllChildren(source);
            source.focus();
            status.textContent = "Selected: copy it with Ctrl+C or ⌘C.";
        }
    });
}
