// The newest pastes, as they come. Without it, the list is as new as the page.
const newest = document.getElementById("list");
if (newest) {
  new EventSource("/live").onmessage = (event) => {
    // The server has escaped it.
    newest.innerHTML = event.data;
  };
}
