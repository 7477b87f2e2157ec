// The newest pastes, as they come. Without it, the list is as new as the page.
const newest = document.getElementById("list");
const pastes = (list) => [...list.querySelectorAll("a")].map((link) => link.getAttribute("href")).join();
if (newest) {
  new EventSource("/live").onmessage = (event) => {
    const list = document.createElement("div");
    // The server has escaped it.
    list.innerHTML = event.data;
    // Nobody's click or reading is disturbed by what is there already.
    if (pastes(list) !== pastes(newest)) newest.replaceChildren(...list.childNodes);
  };
}
