// Copies the text of a paste. The button stays hidden where the browser has no clipboard for pages.
const button = document.getElementById("copy");
if (button && navigator.clipboard) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      // Line numbers are not part of the text.
      await navigator.clipboard.writeText(document.getElementById("paste").textContent);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Not copied";
    }
    setTimeout(() => { button.textContent = "Copy"; }, 2000);
  });
}
