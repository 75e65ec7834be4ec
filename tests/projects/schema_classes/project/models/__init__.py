from .items import Item, Order
