document.title = 'short';
